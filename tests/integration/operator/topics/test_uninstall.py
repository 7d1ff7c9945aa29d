"""After an uninstall: topics can be deleted, and the platform is deleted with its release."""

from __future__ import annotations

import asyncio

from notifyx_common.clock import SystemClock
from notifyx_operator.kube.cluster import Cluster
from notifyx_operator.kube.names import FINALIZER
from notifyx_operator.topics.uninstall import remove_finalizers
from support.operator_kube import DEPLOYMENTS, PLATFORMS, Kube, Operator
from support.patience import PATIENCE, until


async def test_topics_stay_without_our_finalizer(kube: Kube, operator: Operator) -> None:
    await kube.topic("deploys")
    await kube.topic("orders")
    async with operator():
        await kube.synced("deploys")
        await kube.synced("orders")
    assert FINALIZER in kube.get("deploys")["metadata"]["finalizers"]
    where = kube.login
    async with Cluster(where, namespaces=(), home="", clock=SystemClock(), instance="test", timeout=10) as cluster:
        assert await remove_finalizers(cluster, SystemClock(), interval=0.01) == 2
        assert await remove_finalizers(cluster, SystemClock(), interval=0.01) == 0
    for name in ("deploys", "orders"):
        assert not kube.get(name)["metadata"].get("finalizers")
        for kind in ("Ready", "Synced"):
            assert kube.condition(kind, name) == ("Unknown", "NoOperator")


async def test_topics_of_another_operator_are_left_to_it(kube: Kube, operator: Operator) -> None:
    """It adds the finalizer again each time: without a bound this would never end."""
    await kube.topic("deploys")
    where = kube.login
    async with (
        operator(resync_seconds=0.2),
        Cluster(where, namespaces=(), home="", clock=SystemClock(), instance="test", timeout=10) as cluster,
    ):
        await kube.synced("deploys")
        async with asyncio.timeout(PATIENCE):
            assert await remove_finalizers(cluster, SystemClock(), interval=0.3) == 1
        await kube.synced("deploys")


async def test_the_release_declares_its_platform(kube: Kube, operator: Operator) -> None:
    await kube.apply(DEPLOYMENTS, "notifyx-operator", "live", {"spec": {"replicas": 1}})
    bounds = {"deployment": "notifyx-gateway", "minimum": 2, "maximum": 5}
    declared = {"name": "notifyx", "deployment": "notifyx-operator", "spec": {"services": {"gateway": bounds}}}

    def spec() -> object:
        return (kube.get("notifyx", "live", PLATFORMS) or {}).get("spec")

    async with operator(platform=declared, kubernetes_namespace="live"):
        await until(lambda: spec() == declared["spec"], "the platform is made")
        (owner,) = kube.get("notifyx", "live", PLATFORMS)["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Deployment", "notifyx-operator")
        changed = {"services": {"gateway": {**bounds, "maximum": 50}, "store": bounds}}
        await kube.apply(PLATFORMS, "notifyx", "live", {"spec": changed})
        await until(lambda: spec() == declared["spec"], "what was changed by hand is set back")
