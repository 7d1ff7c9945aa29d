"""The collector of the dashboard while nobody looks, and the first look after that."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.metrics import Metrics
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard import collector as collector_module
from notifyx_gateway.dashboard.collector import IDLE_POLL_INTERVAL_WITH_PROMETHEUS, Collector
from notifyx_gateway.dashboard.watch import STALE_AFTER
from support.auth import HandClock
from support.patience import PATIENCE, until


def collector_of(clients: list[ServiceClient], clock: HandClock) -> Collector:
    return Collector(
        clients,
        instance="gateway-1",
        readiness=Readiness(),
        own=CollectorRegistry(),
        clock=clock,
        idle_interval=IDLE_POLL_INTERVAL_WITH_PROMETHEUS,
        background=Background(Metrics()),
    )


async def test_who_looks_after_a_rest_sees_what_happened_meanwhile() -> None:
    clock = HandClock()
    collector = collector_of([], clock)
    async with collector:
        await collector.snapshot()
        assert collector.intervals.latest is None, "one look knows of no time that passed"
        clock.move(seconds=IDLE_POLL_INTERVAL_WITH_PROMETHEUS)
        await collector.snapshot()
        interval = collector.intervals.latest
        assert interval is not None
        assert interval.seconds == IDLE_POLL_INTERVAL_WITH_PROMETHEUS
        assert collector.intervals.last(IDLE_POLL_INTERVAL_WITH_PROMETHEUS) == [interval], (
            "the last minute is known at once"
        )


async def test_news_of_a_node_does_not_wait_for_metrics_that_another_holds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "METRICS_TIMEOUT", 2 * PATIENCE)
    failed: dict[str, str] = {}
    answering = asyncio.Event()
    answering.set()

    async def readyz(_: web.Request) -> web.Response:
        return web.json_response({"failed": failed}, status=503 if failed else 200)

    async def metrics(_: web.Request) -> web.Response:
        await answering.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    clock = HandClock()
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        stores = StaticDiscovery({"store": [Endpoint("store-1", url, metrics_url=url)]})
        client = ServiceClient("store", discovery=stores, token="", metrics=Metrics(), clock=clock)
        collector = collector_of([client], clock)
        async with client, collector:
            version = (await collector.snapshot()).version
            answering.clear()
            failed["database"] = "It does not answer."
            clock.move(seconds=STALE_AFTER)
            news = await collector.newer(version, PATIENCE)
            answering.set()
            assert news is not None, "the metrics are still waited for"
            assert [node.state for node in news.services["store"]] == ["not ready"]


async def test_a_node_that_registers_while_nobody_looks_is_there_for_the_next_who_does() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/{path}", answer)
    clock, stores = HandClock(), StaticDiscovery()
    client = ServiceClient("store", discovery=stores, token="", metrics=Metrics(), clock=clock)
    collector = collector_of([client], clock)
    async with TestServer(app) as server, client, collector:
        await until(lambda: collector.made > 0, "a snapshot is made at the start")
        url = f"http://127.0.0.1:{server.port}"
        stores.replace("store", [Endpoint("store-1", url, metrics_url=url)])
        await until(lambda: collector.made > 1, "its registration makes another one")
        assert [node.state for node in (await collector.snapshot()).services["store"]] == ["ready"]
