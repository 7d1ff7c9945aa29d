"""A real Prometheus pod sees the load, and the operator scales by it: more for more, fewer for less, nobody notices.

The capacity of a replica is set so low that the clients of a test fill several.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cluster.install import RELEASE, SERVICES, Installed, upgrade
from cluster.kube import Kube, condition, find_condition
from cluster.traffic import HEARTBEAT, traffic
from cluster.waiting import wait_for
from support.mail import verify, wait_for_summaries
from support.phoenix import PhoenixClient
from support.platform import person

WINDOW = 5
GATEWAY_STEP = 5
SMALL = {
    "gateway": {"maximum": 4, "capacity": {"connections": 10}, "stabilizationSeconds": WINDOW},
    "mailer": {"minimum": 1, "maximum": 3, "capacity": {"emailsPerMinute": 30}, "stabilizationSeconds": WINDOW},
    "operator": {
        "settings": {"resyncSeconds": 10, "platformSeconds": 2, "gatewayStep": GATEWAY_STEP, "unseenPatience": 10}
    },
}


def platform(installed: Installed, kube: Kube) -> dict[str, Any]:
    return dict(kube.get("nxp", RELEASE, installed.namespace))


def service(installed: Installed, kube: Kube, name: str) -> dict[str, Any]:
    """What the platform's status says of a service."""
    return dict(platform(installed, kube)["status"]["services"][name])


def ready(installed: Installed, kube: Kube, name: str, count: int) -> None:
    """Wait until a service has so many ready pods, and should."""

    def look() -> bool:
        found = service(installed, kube, name)
        return (found["wanted"], len(kube.ready_pods(installed.namespace, name))) == (count, count)

    wait_for(f"{count} ready {name} pods", look, deadline=150, pause=0.5)


@pytest.fixture(scope="module")
def small(installed: Installed, kube: Kube) -> Iterator[Installed]:
    """Replicas that carry little, and an operator that does not wait long."""
    upgrade(installed, SMALL)
    kube.wait_condition("nxp", RELEASE, installed.namespace, "ScalingActive", deadline=90)
    yield installed
    upgrade(installed)
    installed.wait_complete()


def test_prometheus_hears_of_every_pod(installed: Installed, kube: Kube) -> None:
    def heard() -> bool:
        found = platform(installed, kube)
        services = found["status"]["services"]
        causes = {services[name]["cause"] for name in SERVICES}
        # The prober's own connection, at least.
        connections = services["gateway"]["observed"].get("connections", 0)
        return condition(found, "ScalingActive") == "True" and "MetricsMissing" not in causes and connections >= 1

    wait_for("all of the load is seen", heard, deadline=90)


async def test_mailers_follow_the_outbox(small: Installed, mailed: Installed, kube: Kube) -> None:
    await asyncio.to_thread(ready, small, kube, "mailer", 1)
    async with person(mailed, "flooded") as flooded:
        await verify(mailed, flooded)
        await flooded.call("POST", "/topics", json={"name": "scaled.mail"})
        await flooded.call("PUT", "/topics/scaled.mail/subscription", json={"email": "every"})
        items = [  # urgent ones are not held for a digest
            {"topic": "scaled.mail", "title": f"Flood {number}", "body": "x", "priority": "urgent"}
            for number in range(100)
        ]
        answer = await flooded.call("POST", "/notifications:batch", json={"items": items})
        assert {item["status"] for item in answer["items"]} == {201}
        await asyncio.to_thread(ready, small, kube, "mailer", 3)
        mails = await wait_for_summaries(mailed, flooded.email, "Flood", count=100, deadline=90)
        assert len({mail["subject"] for mail in mails}) == len(mails) == 100


async def test_load_brings_gateways_and_calm_takes_them_away(small: Installed, kube: Kube) -> None:
    async with traffic(small, "scaled", subscribers=4, publishers=2) as flowing:
        async with AsyncExitStack() as stack:
            crowd = await stack.enter_async_context(person(small, "crowd"))
            for _ in range(25):
                await stack.enter_async_context(PhoenixClient(small.socket, crowd.token, heartbeat=HEARTBEAT))
            await asyncio.to_thread(ready, small, kube, "gateway", 4)
            found = service(small, kube, "gateway")
            assert found["cause"] in ("Observed", "Steady", "Maximum"), found
            described = await asyncio.to_thread(kube.kubectl, "describe", "nxp", RELEASE, namespace=small.namespace)
            assert "connections observed need" in described or "are enough" in described
            await flowing.more()
        await asyncio.to_thread(ready, small, kube, "gateway", 2)
        await flowing.more()
    for said in ("gateway: Raised", "gateway: Lowered from 3 to 2"):
        await asyncio.to_thread(kube.wait_event, small.namespace, RELEASE, "Scaled", saying=said)


def test_declared_demand_is_there_before_anyone_connects(small: Installed, kube: Kube) -> None:
    topic = {
        "apiVersion": "notifyx.dev/v1alpha1",
        "kind": "NotifyxTopic",
        "metadata": {"name": "scaled.declared", "namespace": small.namespace},
        "spec": {},
    }
    kube.apply(topic)
    kube.wait_condition("nxt", "scaled.declared", small.namespace, "Ready")
    kube.kubectl("scale", "nxt/scaled.declared", "--replicas=28", namespace=small.namespace)
    try:
        ready(small, kube, "gateway", 3)
        found = service(small, kube, "gateway")
        assert (found["cause"], found["declared"]["connections"]) == ("Declared", 28)
    finally:
        kube.kubectl("delete", "nxt", "scaled.declared", namespace=small.namespace)
    ready(small, kube, "gateway", 2)


def test_mailers_go_when_the_flood_is_over(small: Installed, kube: Kube) -> None:
    """By then, and not before: what they sent within a minute counts as their load."""
    ready(small, kube, "mailer", 1)


def test_without_prometheus_nothing_is_taken_away(small: Installed, kube: Kube) -> None:
    kube.apply(
        {
            "apiVersion": "notifyx.dev/v1alpha1",
            "kind": "NotifyxTopic",
            "metadata": {"name": "scaled.held", "namespace": small.namespace},
            "spec": {"demand": {"connections": 25}},
        }
    )
    ready(small, kube, "gateway", 3)
    prometheus = f"statefulset/{small.name('prometheus')}"
    kube.kubectl("scale", prometheus, "--replicas=0", namespace=small.namespace)
    try:

        def missing() -> bool:
            found = find_condition(platform(small, kube), "ScalingActive")
            return found is not None and (found["status"], found["reason"]) == ("False", "MetricsMissing")

        wait_for("the metrics are missed", missing, deadline=60)
        kube.kubectl("delete", "nxt", "scaled.held", namespace=small.namespace)
        # Nothing is needed any more, for longer than it takes to go: the window and the steps of several rounds.
        until = time.monotonic() + WINDOW + 2 * GATEWAY_STEP + 5
        while time.monotonic() < until:
            assert service(small, kube, "gateway")["wanted"] == 3
            time.sleep(1)
        assert len(kube.ready_pods(small.namespace, "gateway")) == 3
        assert "are held" in service(small, kube, "gateway")["reason"]
    finally:
        kube.kubectl("scale", prometheus, "--replicas=1", namespace=small.namespace)
    kube.wait_condition("nxp", RELEASE, small.namespace, "ScalingActive", deadline=120)
    ready(small, kube, "gateway", 2)
    kube.wait_event(small.namespace, RELEASE, "MetricsMissing")
    kube.wait_event(small.namespace, RELEASE, "MetricsBack")
