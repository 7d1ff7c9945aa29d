"""Certificates of internal TLS in the cluster: which one a pod shows, and a pod that has none of the authority."""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Container
from pathlib import Path

from cluster.install import RELEASE, Installed
from cluster.namespaces.pki import Authority
from cluster.traffic import aside
from cluster.waiting import wait_for

PORT = 4443
_SHOWN = "import ssl, sys; print(ssl.get_server_certificate((sys.argv[1], int(sys.argv[2]))))"

_IMPOSTOR = """
import os, pathlib, socket, ssl
pathlib.Path("/tmp/pair").write_text(os.environ["PAIR"])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/pair")
listener = socket.create_server(("::", int(os.environ["PORT"])), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    try:
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            if data := connection.recv(1000):
                print("called:", data, flush=True)
    except OSError as error:
        print("refused:", error, flush=True)
"""


def issued(installed: Installed, secret: str) -> str:
    """The certificate in a Secret, in PEM."""
    data = installed.kube.get("secret", secret, installed.namespace)["data"]
    return _first(base64.b64decode(data["tls.crt"]).decode())


def wait_shown(installed: Installed, service: str, certificate: str, earlier: Container[str]) -> None:
    """Wait until the pods of a service show ``certificate`` to their callers.

    ``earlier`` are the uids of pods that were there before it was issued: only those count, and none has restarted.
    """
    kube, namespace = installed.kube, installed.namespace

    def shown() -> bool:
        pods = [pod for pod in kube.ready_pods(namespace, service) if pod["metadata"]["uid"] in earlier]
        restarts = sum(status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"])
        assert restarts == 0
        caller = kube.ready_pods(namespace, "gateway")[0]["metadata"]["name"]
        for pod in pods:
            # The kubelet writes a changed Secret when it looks at a pod: each minute, and when the pod changes.
            name = pod["metadata"]["name"]
            kube.patch("pod", name, {"metadata": {"annotations": {"notifyx.dev/test": certificate[-80:]}}}, namespace)
        answers = [installed.python(caller, _SHOWN, pod["status"]["podIP"], str(PORT)) for pod in pods]
        return {_first(answer) for answer in answers} == {certificate}

    wait_for(f"the pods of {service} show their new certificate", shown, deadline=120, pause=1)


def _first(pem: str) -> str:
    end = "-----END CERTIFICATE-----"
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pem[: pem.index(end) + len(end)]))


@contextlib.asynccontextmanager
async def impostor(installed: Installed, service: str, folder: Path) -> AsyncIterator[None]:
    """A pod of the Service of ``service`` whose certificate is another authority's, once a caller has tried it.

    On leaving without an error, nobody had sent it a request.
    """
    kube, namespace = installed.kube, installed.namespace
    host = f"{installed.name(service)}.{namespace}.svc"
    Authority(folder).issue("tls", host, names=(host,))
    pair = (folder / "tls.crt").read_text() + (folder / "tls.key").read_text()
    labels = {"name": "notifyx", "instance": RELEASE, "component": service}
    container = {
        "name": "main",
        "image": next(image.name for image in installed.images if "notifyx-gateway" in image.name),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", _IMPOSTOR],
        "env": [{"name": "PAIR", "value": pair}, {"name": "PORT", "value": str(PORT)}],
        "ports": [{"name": "http", "containerPort": 4000}, {"name": "internal", "containerPort": PORT}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    metadata = {
        "name": "impostor",
        "namespace": namespace,
        "labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def said() -> str:
        return kube.kubectl("logs", "impostor", namespace=namespace)

    def tried() -> None:
        wait_for("the impostor is tried", said, deadline=60, pause=0.5)

    try:
        await aside(kube.apply, pod)
        await aside(tried)
        yield
        assert {line.partition(":")[0] for line in (await aside(said)).splitlines()} == {"refused"}
    finally:
        await aside(lambda: kube.kubectl("delete", "pod", "impostor", "--ignore-not-found", namespace=namespace))
