"""Resource definitions of other projects, from their Go modules: what the chart's optional resources are made of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.commands import run
from cluster.kube import Kube
from cluster.namespaces.binaries import MODULES, go_toolchain
from cluster.provider import Say


@dataclass(frozen=True)
class Source:
    """A folder of a module, and the resources that are wanted of it by their plural names; none named: all.

    The version, and the checksums that are trusted, are those of ``gomod/<pinned>``.
    """

    module: str
    folder: str
    resources: tuple[str, ...] = ()
    pinned: str = "definitions"


GATEWAY_API = Source("sigs.k8s.io/gateway-api", "config/crd/standard")
PROMETHEUS_OPERATOR = Source(
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd",
    # The others are so large that an API server on a busy machine is minutes late to forget them.
    ("podmonitors", "prometheusrules", "servicemonitors"),
)
CERT_MANAGER = Source(
    "github.com/cert-manager/cert-manager",
    "deploy/crds",
    ("certificaterequests", "certificates", "clusterissuers", "issuers"),
    pinned="cert-manager",
)


def definitions(source: Source, say: Say) -> list[Path]:
    """The CustomResourceDefinitions of ``source``. Raises :class:`NoCluster` without a Go toolchain."""
    env = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    command = [go_toolchain(say), "mod", "download", "-json", source.module]
    found = json.loads(run(command, cwd=MODULES / source.pinned, env=env, deadline=300))
    return [
        path
        for path in sorted((Path(found["Dir"]) / source.folder).glob("*.yaml"))
        if "kind: CustomResourceDefinition\n" in path.read_text()
        # controller-gen names a file by the group and the plural of what it defines.
        and (not source.resources or path.stem.rpartition("_")[2] in source.resources)
    ]


@contextlib.contextmanager
def defined(kube: Kube, source: Source, say: Say) -> Iterator[None]:
    """Resource definitions of a project, while the block is entered."""
    files = [word for path in definitions(source, say) for word in ("-f", str(path))]
    kube.kubectl("apply", "--server-side", *files)
    try:
        kube.kubectl("wait", "--for=condition=Established", "--timeout=60s", *files)
        yield
    finally:
        kube.kubectl("delete", "--timeout=100s", *files)
