"""A cluster that the user already has, by the name of its context in their kubeconfig."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.commands import run
from cluster.provider import Image, NoCluster, Say
from cluster.waiting import CommandFailed


class ExistingCluster:
    """Nothing of it is ours to break or to end; images have to be where it pulls from."""

    def __init__(self, kubeconfig: Path, kubectl: Path, nodes: tuple[str, ...], ingress: str) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl = kubectl
        self.nodes = nodes
        self.ingress = ingress

    def why_not(self, ability: str) -> str | None:
        return f"'{ability}' is tried on clusters that were made for the tests only"

    def last_errors(self) -> list[str]:
        return []

    def load(self, images: Sequence[Image], say: Say) -> None:
        say("images are pulled by the cluster itself; set NOTIFYX_CLUSTER_REGISTRY to where they were pushed")

    def power_off(self, node: str) -> None:
        raise NoCluster(f"{node} belongs to somebody; it is not powered off")

    power_on = cut_off = reconnect = power_off

    def down(self, say: Say) -> None:
        say("the cluster is left as it is")


def open_cluster(context: str) -> ExistingCluster:
    """The cluster of ``context``, reached once. Raises :class:`NoCluster`.

    ``NOTIFYX_CLUSTER_INGRESS`` is the base URL of its ingress controller.
    """
    kubectl = shutil.which("kubectl")
    ingress = os.environ.get("NOTIFYX_CLUSTER_INGRESS", "")
    if kubectl is None:
        raise NoCluster("a cluster of your own needs kubectl on the PATH.")
    if not ingress:
        raise NoCluster("set NOTIFYX_CLUSTER_INGRESS to the base URL of the cluster's ingress controller.")
    try:
        config = run([kubectl, "config", "view", "--raw", "--minify", "--flatten", "--context", context, "-o", "json"])
        found = json.loads(run([kubectl, "--context", context, "get", "nodes", "-o", "json"]))
    except CommandFailed as error:
        raise NoCluster(f"the context {context!r} cannot be used: {error}") from None
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"notifyx-cluster-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    kubeconfig = folder / "kubeconfig"
    with open(os.open(kubeconfig, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(config)
    nodes = tuple(node["metadata"]["name"] for node in found["items"])
    return ExistingCluster(kubeconfig, Path(kubectl), nodes, ingress.rstrip("/"))
