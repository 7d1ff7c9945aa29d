"""cert-manager for a while: its definitions in the cluster, and its controllers as a process of this machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cluster.definitions import CERT_MANAGER, defined
from cluster.kube import Kube
from cluster.namespaces.binaries import cert_manager
from cluster.provider import Cluster, Say


@contextlib.contextmanager
def running_cert_manager(cluster: Cluster, kube: Kube, log: Path, say: Say) -> Iterator[None]:
    """Certificates of CA Issuers are issued while the block is entered. Raises :class:`NoCluster`."""
    program = cert_manager(say)
    with defined(kube, CERT_MANAGER, say), log.open("wb") as output:
        process = subprocess.Popen([program, cluster.kubeconfig], stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(30)


def renew(kube: Kube, certificate: str, namespace: str) -> None:
    """Have a Certificate issued again, as ``cmctl renew`` does."""
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    patch = json.dumps({"status": {"conditions": [condition]}})
    words = ("patch", "certificate", certificate, "--subresource=status", "--type=merge", "-p", patch)
    kube.kubectl(*words, namespace=namespace)
