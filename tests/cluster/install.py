"""The platform in a namespace of the cluster, installed with helm as a user does."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cluster.kube import Kube, condition
from cluster.provider import Cluster, Image
from cluster.waiting import wait_for
from notifyx_common.contracts.call import INTERNAL
from notifyx_local.ports import free_port

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "notifyx"
VALUES = Path(__file__).parent / "data" / "values.yaml"
RELEASE = "notifyx"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
SERVICES = ("gateway", "auth", "store", "mailer")
PARTS = (*SERVICES, "operator", "postgres", "memcached", "prometheus", "mailbox")
WITH_IMAGES = (*PARTS, "backup")


@dataclass(frozen=True)
class Installed:
    """A release: how its users reach it, and where its parts are."""

    cluster: Cluster
    kube: Kube
    namespace: str
    images: tuple[Image, ...]
    mailbox: str = ""
    """Where mail can be read, inside :meth:`with_mailbox`."""

    @property
    def url(self) -> str:
        """The page."""
        return self.cluster.ingress

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    @property
    def socket(self) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/socket"

    @property
    def secret(self) -> dict[str, str]:
        """What the chart generated."""
        data = self.kube.get("secret", self.name("secrets"), self.namespace)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    @property
    def admin_email(self) -> str:
        return "admin@example.com"

    @property
    def admin_password(self) -> str:
        return self.secret["admin-password"]

    def name(self, part: str) -> str:
        """The name of a part's objects."""
        return f"{RELEASE}-{part}"

    @contextlib.contextmanager
    def with_mailbox(self) -> Iterator[Installed]:
        """The release with a way to its mailbox, opened for this use: one ends with its pod and with its API server."""
        target = f"deployment/{self.name('mailbox')}"
        with port_forward(self.cluster, self.namespace, target, "8025") as mailbox:
            yield replace(self, mailbox=mailbox)

    def revision(self) -> str:
        """The number of the release's last revision."""
        history = json.loads(self.kube.helm("history", RELEASE, "-o", "json", namespace=self.namespace))
        return str(history[-1]["revision"])

    def rollback(self, revision: str) -> None:
        """``helm rollback``, and wait for it."""
        self.kube.helm("rollback", RELEASE, revision, "--wait", "--timeout", "5m", namespace=self.namespace)
        self.wait_reached()

    def run_job(self, job: Mapping[str, Any], deadline: float = 180.0) -> str:
        """Run a Job of the release to its end; its log. What it left of itself is deleted."""
        name = job["metadata"]["name"]
        self.kube.apply(job, namespace=self.namespace)

        def ended() -> bool:
            found = self.kube.get("job", name, self.namespace)
            return condition(found, "Complete") == "True" or condition(found, "Failed") == "True"

        try:
            wait_for(f"the job {name} ends", ended, deadline=deadline)
            said = self.kube.kubectl("logs", f"job/{name}", namespace=self.namespace)
            assert condition(self.kube.get("job", name, self.namespace), "Complete") == "True", said
        finally:
            self.kube.kubectl("delete", "job", name, "--wait=false", namespace=self.namespace)
        return said

    def page_status(self) -> int:
        """How the public address answers: 404 comes from an ingress controller that has no way to the gateway."""
        try:
            with urllib.request.urlopen(f"{self.url}/", timeout=5) as page:
                return int(page.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def wait_reached(self) -> None:
        """Wait until the ingress controller sends users to the gateway: it says "accepted" some time before it does."""
        wait_for("the page is reached", lambda: self.page_status() == HTTPStatus.OK)

    def node_without(self, component: str) -> str:
        """A node that runs no pod of ``component``, and as many other parts as can be."""
        taken = {pod["spec"]["nodeName"] for pod in self.kube.pods(self.namespace, component)}
        pods = self.kube.objects("pods", self.namespace)

        def busy(node: str) -> int:
            return sum(pod["spec"].get("nodeName") == node for pod in pods)

        return max((node for node in self.cluster.nodes if node not in taken), key=busy)

    def wait_complete(self, without: str = "", deadline: float = 180.0) -> None:
        """Wait until every Deployment has all its pods ready, none of them on the node ``without``."""

        def complete() -> bool:
            deployments = self.kube.objects("deployments", self.namespace)
            ready = all(
                one["status"].get("readyReplicas", 0) == one["spec"]["replicas"]
                and one["status"].get("observedGeneration") == one["metadata"]["generation"]
                for one in deployments
            )
            # A node without power cannot say that its pods are gone; they count as long as nobody replaced them.
            pods = [pod for part in SERVICES for pod in self.kube.ready_pods(self.namespace, part)]
            return ready and not any(pod["spec"].get("nodeName") == without for pod in pods)

        wait_for(f"everything in {self.namespace} is ready", complete, deadline=deadline, pause=0.5)

    @contextlib.contextmanager
    def without_bounds(self, service: str) -> Iterator[None]:
        """The operator leaves the replicas of ``service`` alone for a while: an autoscaler claims them.

        It can do nothing itself, as the cluster has no metrics for it.
        """
        name = f"{service}-by-hand"
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name(service)}
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 10}
        metadata = {"name": name, "namespace": self.namespace}
        autoscaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata}
        self.kube.apply({**autoscaler, "spec": spec})

        def aside() -> bool:
            platform = self.kube.get("notifyxplatform", RELEASE, self.namespace)
            return name in platform["status"]["services"][service]["reason"]

        try:
            wait_for("the operator stands aside", aside, deadline=30)
            yield
        finally:
            self.kube.kubectl("delete", "horizontalpodautoscaler", name, namespace=self.namespace)

    def python(self, pod: str, script: str, *arguments: str, namespace: str = "") -> str:
        """What a Python script prints in a pod's container."""
        words = ("exec", pod, "--", "python3", "-c", script, *arguments)
        return self.kube.kubectl(*words, namespace=namespace or self.namespace).strip()

    def sql(self, service: str, statement: str) -> str:
        """What the built-in PostgreSQL says to a statement in the database of ``service``."""
        words = ("exec", f"{self.name('postgres')}-0", "--", "psql", "-h", "/tmp", "-U", "postgres")
        return self.kube.kubectl(*words, "-d", f"notifyx_{service}", "-Atc", statement, namespace=self.namespace)

    def calls_served(self, pod: str) -> int:
        """HTTP requests that a pod has answered, health checks apart."""
        script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/metrics').read().decode())"
        lines = self.python(pod, script).splitlines()
        counted = [line for line in lines if line.startswith("notifyx_http_requests_total{") and INTERNAL in line]
        return int(sum(float(line.rpartition(" ")[2]) for line in counted))

    def reached(self, pod: str, targets: Sequence[tuple[str, int]], namespace: str = "") -> list[tuple[str, int]]:
        """The (host, port) of ``targets``, all tried at once, that a TCP connection from a pod reaches within 2 s."""
        script = (
            "import asyncio, json, sys\n"
            "async def reached(host, port):\n"
            "    try:\n"
            "        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 2)\n"
            "        writer.close()\n"
            "        return True\n"
            "    except OSError:\n"
            "        return False\n"
            "async def all_of(targets):\n"
            "    return await asyncio.gather(*(reached(*target) for target in targets))\n"
            "print(json.dumps(asyncio.run(all_of(json.loads(sys.argv[1])))))\n"
        )
        answers = json.loads(self.python(pod, script, json.dumps(targets), namespace=namespace))
        return [target for target, answer in zip(targets, answers, strict=True) if answer]

    @contextlib.contextmanager
    def stranger(self, namespace: str) -> Iterator[str]:
        """A pod in another namespace that does nothing; its name."""
        image = next(image.name for image in self.images if "notifyx-gateway" in image.name)
        container = {
            "name": "main",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", "import signal; signal.pause()"],
        }
        spec = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [container]}
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "stranger", "namespace": namespace},
            "spec": spec,
        }
        # A pod is refused until the namespace has its ServiceAccount, a moment later.
        wait_for("a ServiceAccount", lambda: self.kube.exists("serviceaccount", "default", namespace), deadline=20)
        self.kube.apply(pod)
        try:
            self.kube.kubectl("wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s", namespace=namespace)
            yield "stranger"
        finally:
            self.kube.kubectl("delete", "namespace", namespace, "--timeout=60s")


@contextlib.contextmanager
def port_forward(cluster: Cluster, namespace: str, target: str, port: str) -> Iterator[str]:
    """The base URL, on loopback, of a port of ``target`` (``service/x``), by way of kubectl."""
    local = free_port()
    command = [
        str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), "-n", namespace,
        "port-forward", target, f"{local}:{port}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(f"the way to {target} is open", lambda: _listens(local), deadline=20)
            yield f"http://127.0.0.1:{local}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


def write_values(file: Path, values: Mapping[str, Any]) -> None:
    """Write the chart's ``values`` as JSON, which is YAML, too.

    PyYAML quotes what YAML 1.1 takes for a number, and Helm takes more for one: the tag ``559831661e68``, a digest.
    """
    file.write_text(json.dumps(values))


def image_values(images: Sequence[Image]) -> dict[str, Any]:
    """The chart's values that name the images of the test."""
    values: dict[str, Any] = {}
    for image in images:
        repository, _, tag = image.name.rpartition(":")
        part = repository.rpartition("/")[2].removeprefix("notifyx-")
        if part in WITH_IMAGES:
            values[part] = {"image": {"repository": repository, "tag": tag}}
    return values


def trial_values(cluster: Cluster, images: Sequence[Image]) -> dict[str, Any]:
    """The chart's values for a person's trial on this cluster: everything built in, and mail in a mailbox."""
    values = image_values(images)
    values["mailbox"] = {**values["mailbox"], "enabled": True}
    return {**values, "publicUrl": cluster.ingress, "ingress": {"enabled": True, "className": "traefik"}}


def install(
    cluster: Cluster, kube: Kube, images: Sequence[Image], *more: dict[str, Any], namespace: str = "notifyx"
) -> Installed:
    """The release in ``namespace``, which enforces restricted Pod Security, ready; with ``more`` of the chart's values.

    One that is there already, on a cluster that was kept, is upgraded.
    """
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": RESTRICTED}})
    installed = Installed(cluster, kube, namespace, tuple(images))
    upgrade(installed, *more)
    installed.wait_complete(deadline=300)
    installed.wait_reached()
    return installed


def remove(installed: Installed) -> None:
    """Uninstall, and delete what policy keeps: topics, definitions, secrets and data."""
    kube = installed.kube
    for topic in kube.objects("notifyxtopics"):
        metadata = topic["metadata"]
        kube.kubectl("delete", "notifyxtopic", metadata["name"], "--timeout=30s", namespace=metadata["namespace"])
    kube.helm("uninstall", RELEASE, "--ignore-not-found", "--wait", namespace=installed.namespace)
    kube.kubectl("delete", "namespace", installed.namespace, "--timeout=120s")
    kube.kubectl("delete", "crd", "notifyxtopics.notifyx.dev", "notifyxplatforms.notifyx.dev", "--timeout=60s")
    for volume in kube.objects("persistentvolumes"):
        # A volume that is kept belongs to its old claim until somebody says that it may go to another.
        if volume["status"]["phase"] == "Released":
            kube.patch("persistentvolume", volume["metadata"]["name"], {"spec": {"claimRef": None}})


def upgrade(installed: Installed, *more: dict[str, Any], chart: Path = CHART) -> None:
    """``helm upgrade --install`` with the values of the test, and ``more``, and wait for it."""
    files = [VALUES]
    folder = installed.cluster.kubeconfig.parent
    own = {"publicUrl": installed.url, **image_values(installed.images)}
    for number, values in enumerate((own, *more)):
        path = folder / f"values-{installed.namespace}-{number}.yaml"
        write_values(path, values)
        files.append(path)
    words = [word for path in files for word in ("-f", str(path))]
    installed.kube.helm(
        "upgrade", "--install", RELEASE, str(chart), *words, "--wait", "--timeout", "5m", namespace=installed.namespace
    )
