"""The same images by Docker, for machines that have an engine but not the programs that do without one.

There, registries can be reached: the base and the servers of third parties are the official images.
"""

from __future__ import annotations

from pathlib import Path

from cluster.commands import run
from cluster.waiting import CommandFailed

ROOT = Path(__file__).parents[3]

PEERS = (
    "docker.io/library/postgres:18",
    "docker.io/library/memcached:1.6",
    "docker.io/prom/prometheus:v3.5.0",
)
"""What the chart runs unless it is told otherwise."""


def engine_answers() -> bool:
    """Whether a Docker engine is there to build with."""
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], deadline=20)
    except CommandFailed:
        return False
    return True


def build_with_docker(part: str, name: str, target: Path) -> None:
    """Build ``part`` of Notifyx as ``name`` and write it to ``target``."""
    dockerfile = ROOT / "images" / "Dockerfile"
    # Without provenance, the archive is one image and no index of several things.
    build = ["docker", "build", "--quiet", "--provenance=false", "--target", part, "--tag", name]
    run([*build, "--file", dockerfile, ROOT], deadline=900)
    _save(name, target)


def pull_with_docker(name: str, target: Path) -> None:
    """Write the image ``name`` of a registry to ``target``."""
    run(["docker", "pull", "--quiet", name], deadline=600)
    _save(name, target)


def _save(name: str, target: Path) -> None:
    run(["docker", "save", "--output", target, name], deadline=300)
