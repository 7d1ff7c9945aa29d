"""Resource definitions of other projects, from their Go modules: what the chart's optional resources are made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.commands import run
from cluster.namespaces.binaries import MODULES, go_toolchain
from cluster.provider import Say


@dataclass(frozen=True)
class Source:
    """A folder of a module, and the resources that are wanted of it by their plural names; none named: all."""

    module: str
    folder: str
    resources: tuple[str, ...] = ()


GATEWAY_API = Source("sigs.k8s.io/gateway-api", "config/crd/standard")
PROMETHEUS_OPERATOR = Source(
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd",
    # The others are so large that an API server on a busy machine is minutes late to forget them.
    ("podmonitors", "prometheusrules"),
)


def definitions(source: Source, say: Say) -> list[Path]:
    """The CustomResourceDefinitions of ``source``. Raises :class:`NoCluster` without a Go toolchain.

    The versions, and the checksums that are trusted, are those of ``gomod/definitions``.
    """
    env = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    command = [go_toolchain(say), "mod", "download", "-json", source.module]
    found = json.loads(run(command, cwd=MODULES / "definitions", env=env, deadline=300))
    return [
        path
        for path in sorted((Path(found["Dir"]) / source.folder).glob("*.yaml"))
        if "kind: CustomResourceDefinition\n" in path.read_text()
        # controller-gen names a file by the group and the plural of what it defines.
        and (not source.resources or path.stem.rpartition("_")[2] in source.resources)
    ]
