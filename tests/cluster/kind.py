"""A cluster by kind, where Docker runs and may run privileged containers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.commands import run
from cluster.provider import Families, Image, NoCluster, Say
from cluster.waiting import CommandFailed
from support.helm import cache_folder

NAME = "notifyx"
INGRESS_PORT = 18080
_INGRESS = {"containerPort": 80, "hostPort": INGRESS_PORT, "listenAddress": "127.0.0.1"}
CONFIGURATION = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [
        {"role": "control-plane"},
        {"role": "worker", "extraPortMappings": [_INGRESS]},
        {"role": "worker"},
        {"role": "worker"},
    ],
}
TRAEFIK = Path(__file__).parent / "namespaces" / "addons" / "traefik.yaml"
TRAEFIK_IMAGE = "docker.io/library/traefik:v3.7"


class KindCluster:
    """Nodes are containers: a power cut is ``docker kill``, a pulled wire ``docker network disconnect``."""

    def __init__(self, kubeconfig: Path, kubectl: Path) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl = kubectl
        self.nodes = (f"{NAME}-worker", f"{NAME}-worker2", f"{NAME}-worker3")
        self.ingress = f"http://127.0.0.1:{INGRESS_PORT}"

    def why_not(self, ability: str) -> str | None:
        if ability == "cut":
            return "a kind node that is disconnected comes back with another address, which no real node does"
        return None

    def last_errors(self) -> list[str]:
        return []

    def load(self, images: Sequence[Image], say: Say) -> None:
        for image in images:
            say(f"loading {image.name}")
            run(["kind", "load", "image-archive", "--name", NAME, image.archive], deadline=300)

    def power_off(self, node: str) -> None:
        run(["docker", "kill", node])

    def power_on(self, node: str) -> None:
        run(["docker", "start", node])
        ready = ["wait", "--for=condition=Ready", f"node/{node}", "--timeout=120s"]
        run([self.kubectl, "--kubeconfig", self.kubeconfig, *ready], deadline=150)

    def cut_off(self, node: str) -> None:
        raise NoCluster(self.why_not("cut") or "")

    reconnect = cut_off

    def down(self, say: Say) -> None:
        run(["kind", "delete", "cluster", "--name", NAME, "--kubeconfig", self.kubeconfig], deadline=300)
        self.kubeconfig.unlink(missing_ok=True)
        say("the cluster is gone")


def find_cluster() -> KindCluster | None:
    """The cluster that was started before, if it still runs."""
    kubectl = shutil.which("kubectl")
    try:
        if kubectl is None or NAME not in run(["kind", "get", "clusters"], deadline=20).split():
            return None
    except CommandFailed:
        return None
    return KindCluster(_kubeconfig(), Path(kubectl))


def open_cluster(images: Sequence[Image], families: Families | None, say: Say) -> KindCluster:
    """The cluster that runs, or a new one. Raises :class:`NoCluster` when this machine cannot have one."""
    if families not in (None, Families.IPV4):
        raise NoCluster(f"{families} is only offered by a cluster in network namespaces.")
    for program in ("docker", "kind", "kubectl"):
        if shutil.which(program) is None:
            raise NoCluster(f"{program} is not installed.")
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], deadline=20)
    except CommandFailed:
        raise NoCluster("Docker is installed, but no Docker engine answers.") from None
    kubeconfig = _kubeconfig()
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    kubectl = Path(shutil.which("kubectl") or "kubectl")
    try:
        if NAME not in run(["kind", "get", "clusters"]).split():
            say("starting three nodes with kind")
            command = ["kind", "create", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig)]
            run([*command, "--config", "-", "--wait", "120s"], input=json.dumps(CONFIGURATION), deadline=600)
            _add_ingress(kubectl, kubeconfig, say)
    except CommandFailed as error:
        raise NoCluster(f"kind could not start its nodes: {error}") from None
    os.chmod(kubeconfig, 0o600)
    cluster = KindCluster(kubeconfig, kubectl)
    cluster.load(images, say)
    return cluster


def _kubeconfig() -> Path:
    return cache_folder() / "cluster" / "kind.conf"


def _add_ingress(kubectl: Path, kubeconfig: Path, say: Say) -> None:
    say("installing the ingress controller")
    manifest = TRAEFIK.read_text().replace("localhost/traefik:1", TRAEFIK_IMAGE)
    administrator: list[str | Path] = [kubectl, "--kubeconfig", kubeconfig]
    run([*administrator, "apply", "-f", "-"], input=manifest)
    rollout = ["-n", "kube-system", "rollout", "status", "daemonset/traefik", "--timeout=180s"]
    run([*administrator, *rollout], deadline=200)
