"""Replicas follow declared demand and the load in Prometheus; without metrics no replica is removed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.contracts.gateway import CONNECTIONS
from notifyx_operator.scaling.scale_in import ANNOTATION
from support.operator_kube import DEPLOYMENTS, PLATFORMS, PODS, Kube, Operator, Store
from support.patience import PATIENCE, until

GATEWAY = {
    "deployment": "notifyx-gateway",
    "minimum": 1,
    "maximum": 5,
    "capacity": {"connections": 100},
    "stabilizationSeconds": 1,
}


@dataclass
class Played:
    """A Prometheus that answers our queries; ``status`` other than 200 is an outage."""

    connections: float = 0
    heard: int = 1
    status: int = 200
    asked: int = 0
    tokens: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        self.asked += 1
        self.tokens.add(request.headers.get("Authorization", ""))
        assert 'namespace="live"' in query
        result: list[dict[str, Any]] = []
        if query.startswith("sum(notifyx_connections"):
            result = [{"metric": {}, "value": [0, str(self.connections)]}]
        elif query.startswith("count by (service)"):
            result = [{"metric": {"service": "gateway"}, "value": [0, str(self.heard)]}]
        body = {"status": "success", "data": {"resultType": "vector", "result": result}}
        return web.json_response(body, status=self.status) if self.status == 200 else web.Response(status=self.status)


@dataclass
class Cluster:
    """The parts that the tests use."""

    kube: Kube
    prometheus: Played
    url: str

    @property
    def settings(self) -> dict[str, Any]:
        """The operator's, as the chart would set them."""
        return {
            "prometheus_url": self.url,
            "prometheus_token": "shown to prometheus",
            "prometheus_match": 'namespace="live"',
            "platform_seconds": 0.2,
            "prometheus_timeout": PATIENCE,
            "gateway_step": 2.0,
            "unseen_patience": 1.0,
        }

    def replicas(self) -> int:
        return int(self.kube.get("notifyx-gateway", "live", DEPLOYMENTS)["spec"]["replicas"])

    async def ready(self, count: int) -> None:
        """The kubelets' part: so many are ready, and Prometheus hears of them."""
        body = {"status": {"replicas": count, "readyReplicas": count}}
        await self.kube.apply(DEPLOYMENTS, "notifyx-gateway", "live", body)
        self.prometheus.heard = count

    def gateway(self) -> dict[str, Any]:
        status = self.kube.get("notifyx", "live", PLATFORMS).get("status") or {}
        return dict((status.get("services") or {}).get("gateway") or {})

    def scaling(self) -> str:
        conditions = (self.kube.get("notifyx", "live", PLATFORMS).get("status") or {}).get("conditions", [])
        return next((one["reason"] for one in conditions if one["type"] == "ScalingActive"), "")


@pytest.fixture
async def cluster(kube: Kube) -> AsyncIterator[Cluster]:
    """One gateway, bounds for it, and a Prometheus."""
    played = Played()
    app = web.Application()
    app.router.add_post("/prefix/api/v1/query", played.answer)
    labels = {"app.kubernetes.io/component": "gateway"}
    deployment = {"spec": {"replicas": 1, "selector": {"matchLabels": labels}}}
    await kube.apply(DEPLOYMENTS, "notifyx-gateway", "live", deployment)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": GATEWAY}}})
    async with TestServer(app) as server:
        cluster = Cluster(kube, played, str(server.make_url("/prefix")))
        await cluster.ready(1)
        yield cluster


async def test_more_come_with_load_and_go_with_it(cluster: Cluster, operator: Operator) -> None:
    cluster.prometheus.connections = 350
    async with operator(**{**cluster.settings, "gateway_step": 600}):
        await until(lambda: cluster.replicas() == 4, "four carry 350")
        await cluster.ready(4)
        await until(lambda: cluster.gateway().get("ready") == 4, "they are ready")
        shown = cluster.gateway()
        assert (shown["cause"], shown["observed"]) == ("Observed", {"connections": 350})
        assert "declared" not in shown or shown["declared"] == {"connections": 0}
        assert "350 connections observed need 4 at 100 a replica." in shown["reason"]
        assert cluster.scaling() == "WithinBounds"
        assert cluster.prometheus.tokens == {"Bearer shown to prometheus"}
        cluster.prometheus.connections = 20
        await until(lambda: cluster.gateway()["cause"] == "Stepping", "one at a time")
        await cluster.kube.apply(
            PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": {**GATEWAY, "maximum": 2}}}}
        )
        await until(lambda: cluster.replicas() == 2, "a lower maximum holds at once")


async def test_declared_demand_counts_from_the_moment_it_is_declared(cluster: Cluster, operator: Operator) -> None:
    async with operator(**{**cluster.settings, "platform_seconds": 600}):
        await cluster.kube.topic(demand={"connections": 150})
        await until(lambda: cluster.replicas() == 2, "two carry 150")
        await cluster.kube.topic("other", demand={"connections": 100})
        await until(lambda: cluster.replicas() == 3, "three carry 250")
        await cluster.ready(3)
        await until(lambda: cluster.gateway().get("declared") == {"connections": 250}, "the status tells the sum")
        assert cluster.gateway()["cause"] == "Declared"


async def test_without_prometheus_all_is_held_and_said_once(cluster: Cluster, operator: Operator) -> None:
    cluster.prometheus.connections = 250
    async with operator(**cluster.settings):
        await until(lambda: cluster.replicas() == 3, "three carry 250")
        await cluster.ready(3)
        await until(lambda: cluster.scaling() == "WithinBounds", "all is well")
        cluster.prometheus.status = 503
        cluster.prometheus.connections = 0
        await until(lambda: cluster.scaling() == "MetricsMissing", "the condition")
        # Longer than the window: the observations have expired, and the replicas stay.
        before = cluster.prometheus.asked
        await until(lambda: cluster.prometheus.asked > before + 60, "it asks on")
        assert cluster.replicas() == 3
        assert "no Prometheus" in cluster.gateway()["reason"]
        assert "observed" not in cluster.gateway() or cluster.gateway()["observed"] == {}
        cluster.prometheus.status = 200
        await until(lambda: cluster.scaling() == "WithinBounds", "it is back")
        await until(lambda: cluster.replicas() <= 2, "calm counts again")
        told = [reason for reason in cluster.kube.events("notifyx", "live") if reason.startswith("Metrics")]
        assert told == ["MetricsMissing", "MetricsBack"]


async def test_a_prometheus_that_sees_a_part_takes_nothing_away(cluster: Cluster, operator: Operator) -> None:
    cluster.prometheus.connections = 250
    async with operator(**cluster.settings):
        await until(lambda: cluster.replicas() == 3, "three carry 250")
        await cluster.ready(3)
        cluster.prometheus.heard = 1
        cluster.prometheus.connections = 80
        await until(lambda: cluster.scaling() == "MetricsMissing", "it is said")
        before = cluster.prometheus.asked
        await until(lambda: cluster.prometheus.asked > before + 60, "it asks on")
        assert cluster.replicas() == 3
        assert "heard of 1 of 3 ready gateway nodes" in cluster.gateway()["reason"]


@contextlib.asynccontextmanager
async def gateways(*opened: int) -> AsyncIterator[list[Endpoint]]:
    """Gateways with so many connections each, on addresses of their own."""
    async with contextlib.AsyncExitStack() as stack:
        endpoints = []
        for number, count in enumerate(opened, start=1):
            app = web.Application()
            answer = {"topics": {}, "open": count}

            async def connections(_: web.Request, answer: dict[str, Any] = answer) -> web.Response:
                return web.json_response(answer)

            app.router.add_get(CONNECTIONS.path, connections)
            server = await stack.enter_async_context(TestServer(app, host=f"127.0.0.{number}"))
            endpoints.append(Endpoint(instance=f"pod-{number}", url=str(server.make_url("")).rstrip("/")))
        yield endpoints


async def test_the_emptiest_gateway_is_marked_before_one_goes(
    cluster: Cluster, operator: Operator, store: Store
) -> None:
    labels = {"app.kubernetes.io/component": "gateway"}
    for number in (1, 2, 3):
        # Of both families: a pod says its address of IPv6 first, and is called at the other one.
        addresses = (f"fd00:244::{number}", f"127.0.0.{number}")
        status = {"podIP": addresses[0], "podIPs": [{"ip": one} for one in addresses]}
        await cluster.kube.apply(PODS, f"pod-{number}", "live", {"status": status})
    await cluster.kube.apply(
        DEPLOYMENTS, "notifyx-gateway", "live", {"spec": {"replicas": 3, "selector": {"matchLabels": labels}}}
    )
    await cluster.ready(3)

    def marked(number: int) -> str:
        annotations = cluster.kube.get(f"pod-{number}", "live", PODS)["metadata"].get("annotations") or {}
        return str(annotations.get(ANNOTATION, ""))

    async with gateways(40, 2, 60) as endpoints:
        store.discovery.replace("gateway", endpoints)
        async with operator(**{**cluster.settings, "gateway_step": 600}):
            await until(lambda: cluster.replicas() == 2, "one goes")
            assert [marked(number) for number in (1, 2, 3)] == ["40", "2", "60"]


async def test_without_prometheus_replicas_go_when_declared_demand_falls(kube: Kube, operator: Operator) -> None:
    """Also after a restart in between: nobody remembers what they were raised for but the status."""

    async def ready(count: int) -> None:
        await kube.apply(
            DEPLOYMENTS, "notifyx-gateway", "live", {"status": {"replicas": count, "readyReplicas": count}}
        )

    def replicas() -> int:
        return int(kube.get("notifyx-gateway", "live", DEPLOYMENTS)["spec"]["replicas"])

    await kube.apply(DEPLOYMENTS, "notifyx-gateway", "live", {"spec": {"replicas": 2}})
    await ready(2)
    await kube.apply(PLATFORMS, "notifyx", "live", {"spec": {"services": {"gateway": GATEWAY}}})
    await kube.topic(demand={"connections": 450})
    fast: dict[str, Any] = {"platform_seconds": 0.2, "gateway_step": 0.1}

    def status() -> dict[str, Any]:
        services = (kube.get("notifyx", "live", PLATFORMS).get("status") or {}).get("services") or {}
        return dict(services.get("gateway") or {})

    async with operator(**fast):
        await until(lambda: replicas() == 5, "the declared demand")
        await ready(5)
        await until(lambda: (status().get("wanted"), status().get("held")) == (5, 2), "what is held is in the status")
    async with operator(**fast):
        await kube.topic(demand={"connections": 0})
        await until(lambda: replicas() == 2, "what was there before")
