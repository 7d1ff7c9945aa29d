"""``helm uninstall`` leaves what policy keeps, and nothing else."""

from __future__ import annotations

import contextlib

from cluster.install import RELEASE, Installed, upgrade
from cluster.kube import Kube, find_condition
from cluster.waiting import TimedOut, wait_for
from support.platform import person

KINDS = (
    "deployments", "statefulsets", "pods", "services", "configmaps", "secrets", "serviceaccounts", "roles",
    "rolebindings", "networkpolicies", "poddisruptionbudgets", "ingresses", "persistentvolumeclaims",
    "notifyxplatforms", "jobs",
)  # fmt: skip
OURS = f"app.kubernetes.io/instance={RELEASE}"


def left(kube: Kube, namespace: str) -> set[str]:
    """What the release still has in its namespace."""
    objects = [one for kind in KINDS for one in kube.objects(kind, namespace, OURS)]
    return {f"{one['kind']}/{one['metadata']['name']}" for one in objects}


async def test_uninstall(installed: Installed, kube: Kube) -> None:
    async with person(installed, "keeper") as keeper:
        await keeper.call("POST", "/topics", json={"name": "uninstall.kept"})
    kube.apply(
        {
            "apiVersion": "notifyx.dev/v1alpha1",
            "kind": "NotifyxTopic",
            "metadata": {"name": "left.behind", "namespace": installed.namespace},
            "spec": {},
        }
    )
    kube.wait_condition("nxt", "left.behind", installed.namespace, "Ready")
    kube.helm("uninstall", RELEASE, "--wait", "--timeout", "3m", namespace=installed.namespace)
    kept = {f"Secret/{installed.name('secrets')}", f"PersistentVolumeClaim/data-{installed.name('postgres')}-0"}
    with contextlib.suppress(TimedOut):  # what is left then says more
        wait_for("only what is kept is left", lambda: left(kube, installed.namespace) == kept, deadline=120)
    assert left(kube, installed.namespace) == kept
    for kind in ("clusterroles", "clusterrolebindings"):
        assert [one["metadata"]["name"] for one in kube.objects(kind, selector=OURS)] == []
    # The definitions stay, and with them every team's topics.
    assert kube.exists("crd", "notifyxtopics.notifyx.dev")
    ready = find_condition(kube.get("nxt", "left.behind", installed.namespace), "Ready")
    assert ready is not None
    assert ready["reason"] == "NoOperator"


def test_a_new_install_finds_its_data_again(installed: Installed, kube: Kube) -> None:
    upgrade(installed)
    installed.wait_complete()
    found = kube.wait_condition("nxt", "left.behind", installed.namespace, "Ready", deadline=60)
    assert found["status"]["topic"] == "left.behind"
    assert installed.sql("store", "SELECT count(*) FROM topics WHERE name = 'uninstall.kept'").strip() == "1"
