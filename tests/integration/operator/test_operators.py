"""Two operators that manage all namespaces: the one that began first does, the other one waits and says so."""

from __future__ import annotations

import contextlib
from typing import Any

from notifyx_operator.kube.conditions import find
from notifyx_operator.kube.precedence import NAMESPACES
from support.operator_kube import PLATFORMS, Kube, Operator, Store
from support.patience import until

FAST: dict[str, Any] = {"lease_seconds": 0.6, "platform_seconds": 0.2, "resync_seconds": 0.3}


def managed(kube: Kube, home: str) -> tuple[str, str]:
    """Status and reason of a platform's condition."""
    status = kube.get("notifyx", home, PLATFORMS).get("status") or {}
    found = find(status.get("conditions"), "TopicsManaged")
    return str(found.get("status", "")), str(found.get("reason", ""))


async def platforms(kube: Kube) -> None:
    for home in ("first", "second"):
        await kube.apply(PLATFORMS, "notifyx", home, {"spec": {"services": {}}})


async def test_the_second_waits_until_the_first_is_gone(kube: Kube, store: Store, operator: Operator) -> None:
    await platforms(kube)
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(operator(kubernetes_namespace="first", **FAST))
        await kube.topic(title="One")
        await kube.synced()
        async with operator(kubernetes_namespace="second", **FAST):
            await until(lambda: managed(kube, "second") == ("False", "OtherOperator"), "it says who does")
            await until(lambda: managed(kube, "first") == ("True", "Managed"), "the first goes on")
            await kube.topic(title="Two")
            held = await kube.synced()
            await kube.delete()
            await kube.gone()
            assert held["status"]["observedGeneration"] == 2
            assert kube.events() == ["TopicCreated", "TopicUpdated", "TopicReleased"], "each was done once"
            await first.aclose()
            await until(lambda: managed(kube, "second") == ("True", "Managed"), "the other one takes over")
            await kube.topic("after")
            await kube.synced("after")


async def test_a_lease_where_no_platform_is_stops_nobody(kube: Kube, store: Store, operator: Operator) -> None:
    """Who may edit a namespace may make a Lease in it."""
    await platforms(kube)
    lease = {
        "metadata": {"name": "notifyx-topics", "namespace": "tenant", "annotations": {NAMESPACES: ""}},
        "spec": {"acquireTime": "2020-01-01T00:00:00.000000Z", "leaseDurationSeconds": 3600},
    }
    path = "/apis/coordination.k8s.io/v1/namespaces/tenant/leases"
    assert (await kube.server.request("POST", path, json=lease)).status < 300
    async with operator(kubernetes_namespace="first", **FAST):
        await kube.topic()
        await kube.synced()
        await until(lambda: managed(kube, "first") == ("True", "Managed"), "it is not moved")
