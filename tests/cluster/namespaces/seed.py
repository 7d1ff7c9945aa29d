"""A containerd folder that holds the images already: made once, and linked into each node.

Importing 300 MB into three running nodes takes 16 s; linking takes one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.commands import run
from cluster.namespaces.node import containerd_configuration
from cluster.provider import Image, Say
from support.helm import cache_folder

KEPT = 2
"""Templates that are kept; each is as large as its images unpacked."""

_IMPORT = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/containerd
mount --bind "$1" /var/lib/containerd
containerd -c "$2" > "$3" 2>&1 &
daemon=$!
for attempt in $(seq 200); do ctr version > /dev/null 2>&1 && break; sleep 0.05; done
shift 3
for archive in "$@"; do ctr -n k8s.io images import "$archive" > /dev/null; done
kill $daemon
wait $daemon || true
"""


def template(images: Sequence[Image], say: Say) -> Path:
    """The containerd folder that holds ``images``. Raises :class:`CommandFailed`."""
    names = sorted(f"{image.name} {image.archive}" for image in images)
    base = cache_folder() / "cluster" / "templates"
    folder = base / hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    if folder.exists():
        folder.touch()
        return folder
    say(f"importing {len(images)} images")
    partial = base / f"{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    config = base / "containerd.toml"
    config.write_text(containerd_configuration())
    archives = [str(image.archive) for image in images]
    isolated = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"]
    run([*isolated, "bash", "-c", _IMPORT, "import", partial, config, base / "import.log", *archives], deadline=600)
    partial.rename(folder)
    for old in sorted((one for one in base.iterdir() if one.is_dir()), key=lambda one: -one.stat().st_mtime)[KEPT:]:
        shutil.rmtree(old)
    return folder
