"""Nothing may do more than it needs: rights, network, and what the kubelet lets a pod be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster.install import PARTS, RESTRICTED, SERVICES, Installed
from cluster.kube import Kube
from cluster.provider import Cluster
from cluster.waiting import CommandFailed

MAY = [
    ("gateway", "list", "endpointslices.discovery.k8s.io", True),
    ("gateway", "watch", "endpointslices.discovery.k8s.io", True),
    ("gateway", "create", "tokenreviews.authentication.k8s.io", True),
    ("gateway", "create", "serviceaccounts:token", False),
    ("mailer", "create", "tokenreviews.authentication.k8s.io", False),
    ("mailer", "watch", "endpointslices.discovery.k8s.io", True),
    ("gateway", "get", "secrets", False),
    ("gateway", "list", "pods", False),
    ("mailer", "get", "secrets", False),
    ("mailer", "create", "pods", False),
    ("operator", "patch", "deployments.apps/notifyx-gateway:scale", True),
    ("operator", "patch", "deployments.apps/notifyx-operator:scale", False),
    ("operator", "patch", "deployments.apps/somebody-elses:scale", False),
    ("operator", "delete", "deployments.apps", False),
    ("operator", "patch", "deployments.apps", False),
    ("operator", "get", "secrets", False),
    ("operator", "create", "pods", False),
    ("operator", "delete", "pods", False),
    ("operator", "patch", "pods", True),
    ("operator", "create", "pods:exec", False),
    ("store", "list", "endpointslices.discovery.k8s.io", False),
    ("auth", "get", "secrets", False),
]


@pytest.mark.parametrize(("part", "verb", "resource", "allowed"), MAY)
def test_rights_in_the_releases_namespace(
    installed: Installed, kube: Kube, part: str, verb: str, resource: str, allowed: bool
) -> None:
    account = f"{installed.namespace}:{installed.name(part)}"
    assert kube.can(account, verb, resource, installed.namespace) is allowed


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("watch", "notifyxtopics.notifyx.dev", True),
        ("patch", "notifyxtopics.notifyx.dev:status", True),
        ("delete", "notifyxtopics.notifyx.dev", False),
        ("create", "notifyxtopics.notifyx.dev", False),
        ("get", "secrets", False),
        ("list", "pods", False),
        ("patch", "deployments.apps:scale", False),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io", False),
    ],
)
def test_rights_of_the_operator_in_the_cluster(
    installed: Installed, kube: Kube, verb: str, resource: str, allowed: bool
) -> None:
    assert kube.can(f"{installed.namespace}:{installed.name('operator')}", verb, resource) is allowed


def test_who_calls_no_api_server_has_no_token(installed: Installed, kube: Kube) -> None:
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    for part in (*SERVICES, "operator"):
        pod = kube.ready_pods(installed.namespace, part)[0]["metadata"]["name"]
        look = ["exec", pod, "--", "python3", "-c", f"import os; print(os.path.exists('{token}'))"]
        has = kube.kubectl(*look, namespace=installed.namespace).strip()
        assert has == str(part in ("gateway", "mailer", "operator")), part


def test_the_namespace_enforces_restricted_and_every_part_runs(installed: Installed, kube: Kube) -> None:
    labels = kube.get("namespace", installed.namespace)["metadata"]["labels"]
    assert {key: labels.get(key) for key in RESTRICTED} == RESTRICTED
    for part in PARTS:
        assert kube.ready_pods(installed.namespace, part), part


def test_a_pod_that_is_not_restricted_is_refused(installed: Installed, kube: Kube) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged"},
        "spec": {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]},
    }
    with pytest.raises(CommandFailed, match="violates PodSecurity"):
        kube.apply(pod, namespace=installed.namespace)


def test_nobody_is_root_and_no_file_can_be_written(installed: Installed, kube: Kube) -> None:
    script = (
        "import os, pathlib\n"
        "assert os.getuid() != 0\n"
        "try: pathlib.Path('/usr/written').write_text('x')\n"
        "except OSError: print('read-only')\n"
    )
    for part in (*SERVICES, "operator"):
        pod = kube.ready_pods(installed.namespace, part)[0]["metadata"]["name"]
        said = kube.kubectl("exec", pod, "--", "python3", "-c", script, namespace=installed.namespace)
        assert said.strip() == "read-only", part


def needs_policies(cluster: Cluster) -> None:
    reason = cluster.why_not("network-policy")
    if reason is not None:
        pytest.skip(reason)


def test_a_foreign_pod_reaches_the_front_door_only(installed: Installed, cluster: Cluster, kube: Kube) -> None:
    """By name, and by each address of each pod: of both IP families, where the cluster has them."""
    needs_policies(cluster)
    parts = [
        ("gateway", 4000), ("auth", 4000), ("store", 4000), ("mailer", 4000), ("postgres", 5432), ("memcached", 11211)
    ]  # fmt: skip
    targets = {
        (host, port): part
        for part, port in parts
        for host in (
            f"{installed.name(part)}.{installed.namespace}",
            *(one["ip"] for pod in kube.ready_pods(installed.namespace, part) for one in pod["status"]["podIPs"]),
        )
    }
    with installed.stranger("foreign") as pod:
        found = installed.reached(pod, list(targets), "foreign")
    assert found == [target for target, part in targets.items() if part == "gateway"]


def test_a_service_reaches_no_more_than_it_needs(installed: Installed, cluster: Cluster, kube: Kube) -> None:
    needs_policies(cluster)

    needed = {"store": [("postgres", 5432)], "gateway": [("store", 4000)], "mailer": [], "auth": []}
    none_of_its_business = {
        "store": [("mailer", 4000), ("mailbox", 1025)],
        "gateway": [("postgres", 5432)],
        "mailer": [("postgres", 5432)],
        "auth": [("store", 4000)],
    }

    def look(part: str) -> None:
        pod = kube.ready_pods(installed.namespace, part)[0]["metadata"]["name"]
        targets = [(installed.name(other), port) for other, port in (*needed[part], *none_of_its_business[part])]
        assert installed.reached(pod, targets) == targets[: len(needed[part])], part

    with ThreadPoolExecutor() as pool:
        list(pool.map(look, needed))
