"""``helm install`` from nothing gives a platform that works."""

from __future__ import annotations

from ipaddress import ip_address

from cluster.install import PARTS, RELEASE, SERVICES, Installed
from cluster.kube import Kube, condition
from cluster.waiting import wait_for


def test_every_part_runs(installed: Installed, kube: Kube) -> None:
    for part in PARTS:
        pods = kube.ready_pods(installed.namespace, part)
        assert pods, part
        for pod in pods:
            for one in pod["status"]["containerStatuses"]:
                name = pod["metadata"]["name"]
                assert one["restartCount"] == 0, kube.kubectl("logs", name, "-p", namespace=installed.namespace)


def test_the_operator_keeps_the_platform_within_its_bounds(installed: Installed, kube: Kube) -> None:
    def settled() -> bool:
        platform = kube.get("nxp", RELEASE, installed.namespace)
        return condition(platform, "Ready") == "True" and condition(platform, "ScalingActive") == "True"

    wait_for("the platform is ready", settled, deadline=60)
    status = kube.get("nxp", RELEASE, installed.namespace)["status"]["services"]
    assert {part: one["ready"] for part, one in status.items()} == dict.fromkeys(SERVICES, 2)
    assert status["gateway"]["reason"] == "2 is the minimum."


def test_delivery_is_verified_by_the_operator_as_a_client(installed: Installed, kube: Kube) -> None:
    found = kube.wait_condition("nxp", RELEASE, installed.namespace, "DeliveryVerified")
    assert "delivered, in order and once" in kube.kubectl("describe", "nxp", RELEASE, namespace=installed.namespace), (
        found
    )


def test_a_deployment_that_was_scaled_by_hand_comes_back(installed: Installed, kube: Kube) -> None:
    def mailers() -> set[str]:
        return {pod["metadata"]["uid"] for pod in kube.ready_pods(installed.namespace, "mailer")}

    before = mailers()
    mailer = f"deployment/{installed.name('mailer')}"
    kube.kubectl("scale", mailer, "--replicas=0", namespace=installed.namespace)
    wait_for("there are two new mailers", lambda: len(mailers() - before) == 2, deadline=90)
    kube.wait_event(installed.namespace, RELEASE, "Scaled")


def test_helm_test_goes_through_the_front_door(installed: Installed, kube: Kube) -> None:
    said = kube.helm("test", RELEASE, "--logs", "--timeout", "3m", namespace=installed.namespace)
    assert said.count("acknowledged it") == 1


def test_pods_and_services_have_every_ip_family_of_the_nodes(installed: Installed, kube: Kube) -> None:
    (node, *_) = kube.objects("nodes")
    wanted = {family(one["address"]) for one in node["status"]["addresses"] if one["type"] == "InternalIP"}
    for pod in kube.objects("pods", installed.namespace):
        assert {family(one["ip"]) for one in pod["status"]["podIPs"]} == wanted, pod["metadata"]["name"]
    services = {one["metadata"]["name"]: one["spec"] for one in kube.objects("services", installed.namespace)}
    for part in ("gateway", "auth", "store", "mailer", "postgres", "memcached"):
        assert {one.lower() for one in services[installed.name(part)]["ipFamilies"]} == wanted, part


def family(address: str) -> str:
    """Of an address, as Kubernetes writes it, in small letters."""
    return f"ipv{ip_address(address).version}"


def test_pods_of_a_service_are_on_different_nodes(installed: Installed, kube: Kube) -> None:
    for part in ("gateway", "store", "auth"):
        nodes = [pod["spec"]["nodeName"] for pod in kube.ready_pods(installed.namespace, part)]
        assert len(set(nodes)) == len(nodes), part
