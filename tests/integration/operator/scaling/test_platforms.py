"""NotifyxPlatforms: Deployments are kept within their bounds, and the status gives replicas and reasons."""

from __future__ import annotations

from typing import Any

from support.operator_kube import AUTOSCALERS, DEPLOYMENTS, PLATFORMS, Kube, Operator
from support.patience import until

BOUNDS = {"deployment": "notifyx-gateway", "minimum": 2, "maximum": 5}


async def deployment(kube: Kube, replicas: int) -> None:
    body = {"spec": {"replicas": replicas}, "status": {"replicas": replicas, "readyReplicas": replicas}}
    await kube.apply(DEPLOYMENTS, "notifyx-gateway", "live", body)


def replicas(kube: Kube) -> int:
    return int(kube.get("notifyx-gateway", "live", DEPLOYMENTS)["spec"]["replicas"])


def status(kube: Kube) -> dict[str, Any]:
    return dict(kube.get("notifyx", "live", PLATFORMS).get("status") or {})


def condition(kube: Kube, kind: str) -> tuple[str, str]:
    found = [one for one in status(kube).get("conditions", []) if one["type"] == kind]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")


async def test_a_deployment_is_kept_within_its_bounds(kube: Kube, operator: Operator) -> None:
    await deployment(kube, 1)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
    async with operator():
        await until(lambda: replicas(kube) == 2, "the minimum")
        await until(lambda: condition(kube, "Ready") == ("False", "ReplicasNotReady"), "one is missing")
        await deployment(kube, 9)
        await until(lambda: replicas(kube) == 5, "the maximum")
        await until(lambda: condition(kube, "Ready") == ("True", "Ready"), "all are ready")
        await until(lambda: status(kube)["services"]["gateway"]["wanted"] == 5, "the status")
        assert condition(kube, "ScalingActive") == ("True", "WithinBounds")
        held = "5 are held, as no Prometheus is configured."
        await until(lambda: status(kube)["services"]["gateway"]["reason"] == held, "why there are five")
        assert kube.events("notifyx", "live") == ["Scaled", "Scaled"]
        assert "finalizers" not in kube.get("notifyx", "live", PLATFORMS)["metadata"]


async def test_the_operator_stands_aside_for_an_autoscaler(kube: Kube, operator: Operator) -> None:
    await deployment(kube, 1)
    target = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "notifyx-gateway"}}
    await kube.apply(AUTOSCALERS, "keda", "live", {"spec": target})
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
    async with operator():
        await until(lambda: condition(kube, "ScalingActive") == ("False", "Autoscaled"), "it says so")
        assert replicas(kube) == 1
        assert "keda" in status(kube)["services"]["gateway"]["reason"]


async def test_a_change_of_the_bounds_is_followed_at_once(kube: Kube, operator: Operator) -> None:
    await deployment(kube, 3)
    async with operator(platform_seconds=600):
        await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
        await until(lambda: condition(kube, "Ready") == ("True", "Ready"), "within its bounds")
        await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": {**BOUNDS, "minimum": 4}}}})
        await until(lambda: replicas(kube) == 4, "the new minimum")
        await until(lambda: condition(kube, "Ready") == ("False", "ReplicasNotReady"), "one is missing")
        await deployment(kube, 4)
        await until(lambda: condition(kube, "Ready") == ("True", "Ready"), "missing replicas are looked for often")


async def test_a_platform_that_makes_no_sense_is_told_so(kube: Kube, operator: Operator) -> None:
    wrong = {"spec": {"services": {"gateway": {**BOUNDS, "minimum": 7}}}}
    await kube.apply(PLATFORMS, "notifyx", "live", wrong)
    async with operator():
        await until(lambda: condition(kube, "Ready") == ("False", "Invalid"), "it is refused")
        message = status(kube)["conditions"][0]["message"]
        assert message == "spec.services.gateway: the minimum (7) is above the maximum (5)."


async def test_the_platform_of_another_release_is_left_alone(kube: Kube, operator: Operator) -> None:
    await deployment(kube, 1)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
    await kube.apply(PLATFORMS, "notifyx", "home", {"spec": {"services": {}}})
    async with operator(kubernetes_namespace="home"):
        await until(lambda: kube.get("notifyx", "home", PLATFORMS).get("status"), "our own has been looked at")
        assert status(kube) == {}
        assert replicas(kube) == 1
