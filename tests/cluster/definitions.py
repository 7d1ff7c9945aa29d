"""Resource definitions of other projects, from their Go modules: what the chart's optional resources are made of."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.commands import run
from cluster.namespaces.binaries import MODULES, go_toolchain
from cluster.provider import Say

GATEWAY_API = ("sigs.k8s.io/gateway-api", "config/crd/standard")
PROMETHEUS_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd")


def definitions(source: tuple[str, str], say: Say) -> list[Path]:
    """The CustomResourceDefinitions in a folder of a module. Raises :class:`NoCluster` without a Go toolchain.

    The versions, and the checksums that are trusted, are those of ``gomod/definitions``.
    """
    module, folder = source
    env = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    command = [go_toolchain(say), "mod", "download", "-json", module]
    found = json.loads(run(command, cwd=MODULES / "definitions", env=env, deadline=300))
    return [
        path
        for path in sorted((Path(found["Dir"]) / folder).glob("*.yaml"))
        if "kind: CustomResourceDefinition\n" in path.read_text()
    ]
