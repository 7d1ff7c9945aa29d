"""EndpointSlices: a new pod gets work at once, a dead one none, and an API server that is away does no harm."""

from __future__ import annotations

import asyncio
import time

import pytest

from cluster.install import Installed
from cluster.kube import Kube
from cluster.namespaces.cluster import NamespaceCluster
from cluster.provider import Cluster
from cluster.traffic import traffic
from cluster.waiting import wait_for

SOON = 2.0


async def test_a_new_store_gets_traffic_and_a_dead_one_none(installed: Installed, kube: Kube) -> None:
    namespace = installed.namespace
    before = {pod["metadata"]["name"] for pod in kube.ready_pods(namespace, "store")}
    async with traffic(installed, "discovery.store") as flowing:
        with installed.without_bounds("store"):
            replicas = len(before) + 1
            kube.kubectl(
                "scale", f"deployment/{installed.name('store')}", f"--replicas={replicas}", namespace=namespace
            )

            def added() -> str:
                fresh = {pod["metadata"]["name"] for pod in kube.ready_pods(namespace, "store")} - before
                return next(iter(fresh), "")

            name = await asyncio.to_thread(wait_for, "the third store is ready", added, deadline=90, pause=0.05)
            ready = time.monotonic()
            calls = await asyncio.to_thread(
                wait_for, f"{name} gets calls", lambda: installed.calls_served(name), deadline=15, pause=0.1
            )
            took = time.monotonic() - ready
            assert calls > 0
            # kubectl's own time to look is in the figure.
            assert took < SOON + 1.0
            await asyncio.to_thread(
                kube.kubectl, "delete", "pod", name, "--grace-period=0", "--force", namespace=namespace
            )
            gone = time.monotonic()
            await flowing.more(20, deadline=SOON + 5)
            print(f"first calls after {took:.1f} s; 20 more publishes {time.monotonic() - gone:.1f} s after the kill")
    await asyncio.to_thread(installed.wait_complete)


async def test_the_api_server_is_away(installed: Installed, kube: Kube, cluster: Cluster) -> None:
    if not isinstance(cluster, NamespaceCluster):
        pytest.skip("only a cluster of ours can lose its API server")
    async with traffic(installed, "discovery.apiserver") as flowing:
        cluster.stop_api()
        try:
            await flowing.more(200, deadline=60)
        finally:
            await asyncio.to_thread(cluster.start_api)
        await flowing.more()
    await asyncio.to_thread(installed.wait_complete)
