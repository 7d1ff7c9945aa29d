"""NotifyxPlatforms: Deployments are kept within their bounds, and the status gives replicas and reasons."""

from __future__ import annotations

from typing import Any

import kmock
import pytest
from structlog.testing import capture_logs

from notifyx_operator.scaling.platforms import PlatformReconciler
from support.operator_kube import AUTOSCALERS, DEPLOYMENTS, PLATFORMS, TOPICS, Kube, Operator
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


async def test_at_rest_the_api_server_is_watched_and_not_polled(
    kube: Kube, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 0
    poll = PlatformReconciler.poll

    async def counted(self: PlatformReconciler) -> bool:
        nonlocal passes
        passes += 1
        return await poll(self)

    monkeypatch.setattr(PlatformReconciler, "poll", counted)
    await deployment(kube, 3)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
    async with operator(platform_seconds=0.2, resync_seconds=600):
        await until(lambda: condition(kube, "Ready") == ("True", "Ready"), "within its bounds")
        seen = lists = 0

        def at_rest() -> bool:
            nonlocal seen, lists
            if (now := sum(kube.lists(one) for one in (PLATFORMS, DEPLOYMENTS, AUTOSCALERS))) != lists:
                seen, lists = passes, now
            return passes >= seen + 10

        await until(at_rest, "ten passes without a request")
        await deployment(kube, 9)
        await until(lambda: replicas(kube) == 5, "a change is seen, and corrected")
        await until(lambda: condition(kube, "Ready") == ("True", "Ready"), "within its bounds again")


async def test_at_rest_each_resync_is_one_request(kube: Kube, operator: Operator) -> None:
    """With the default of two resyncs a minute, and the Lease, that is five requests a minute."""
    await deployment(kube, 3)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
    for number in range(3):
        await kube.topic(f"topic-{number}")
    async with operator(platform_seconds=0.2, resync_seconds=0.2, kubernetes_namespace="live"):
        await until(lambda: condition(kube, "Ready") == ("True", "Ready"), "within its bounds")
        start = resyncs = 0

        def at_rest() -> bool:
            nonlocal start, resyncs
            made = list(kube.server)[start:]
            if any((one.action, one.resource) != (kmock.action.LIST, TOPICS) for one in made):
                start, resyncs = start + len(made), kube.lists()
            return kube.lists() >= resyncs + 5

        await until(at_rest, "five resyncs and no other request")
        target = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "notifyx-gateway"}}
        await kube.apply(AUTOSCALERS, "keda", "live", {"spec": target})
        await until(lambda: condition(kube, "ScalingActive") == ("False", "Autoscaled"), "an autoscaler is noticed")


async def test_without_the_right_to_watch_it_polls(kube: Kube, operator: Operator) -> None:
    """Nothing depends on the watch."""
    await deployment(kube, 1)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
    kube.server["watch", DEPLOYMENTS] << 403
    with capture_logs() as logs:
        async with operator():
            await until(lambda: replicas(kube) == 2, "the minimum")
            await deployment(kube, 9)
            await until(lambda: replicas(kube) == 5, "the maximum")
    assert any("/deployments (403 " in one.get("reason", "") for one in logs)


async def test_a_platform_that_makes_no_sense_is_told_so(kube: Kube, operator: Operator) -> None:
    wrong = {"spec": {"services": {"gateway": {**BOUNDS, "minimum": 7}}}}
    await kube.apply(PLATFORMS, "notifyx", "live", wrong)
    async with operator():
        await until(lambda: condition(kube, "Ready") == ("False", "Invalid"), "it is refused")
        message = status(kube)["conditions"][0]["message"]
        assert message == "spec.services.gateway: The minimum (7) is above the maximum (5)."


async def test_the_platform_of_another_release_is_left_alone(kube: Kube, operator: Operator) -> None:
    await deployment(kube, 1)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": BOUNDS}}})
    await kube.apply(PLATFORMS, "notifyx", "home", {"spec": {"services": {}}})
    async with operator(kubernetes_namespace="home"):
        await until(lambda: kube.get("notifyx", "home", PLATFORMS).get("status"), "our own has been looked at")
        assert status(kube) == {}
        assert replicas(kube) == 1
