"""What a gateway makes of stores that break off, hang, or are of the previous release."""

from __future__ import annotations

import asyncio
from collections import Counter

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_common.background import Background
from notifyx_common.calls import client as client_module
from notifyx_common.calls import hangs, silence
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.call import V1
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.errors import DeadlineExceeded, NotFound, NotifyxError
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.store import Store
from notifyx_gateway.upstream.store_calls import CONCURRENT_PAGES
from support.clock import SetForward
from support.patience import PATIENCE
from support.store import TOKEN, user


async def test_a_publish_whose_outcome_is_not_known_says_how_to_send_it_again() -> None:
    async def break_off(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        clock.ahead += 2 * PATIENCE
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", break_off)
    metrics, clock = Metrics(), SetForward()
    async with TestServer(app) as server:
        stores = StaticDiscovery({"store": [Endpoint("store-1", f"http://127.0.0.1:{server.port}")]})
        client = ServiceClient("store", discovery=stores, token=TOKEN, metrics=metrics, clock=clock, purpose="Topics")
        store = Store(client, clock=clock, metrics=metrics, background=Background(metrics), deadline=PATIENCE)
        async with client, store:
            with pytest.raises(DeadlineExceeded, match=r"not known whether this was published.* with its key") as told:
                await store.publish(user("ann"), "news", KeyedNotification(title="maybe"))
    assert "The store service broke off" in told.value.cause


async def test_a_store_that_hangs_is_told_to_joins_and_to_those_that_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hangs, "SUSPECT_AFTER", 0.0)
    monkeypatch.setattr(client_module, "OUTAGE_AFTER", 0.0)
    monkeypatch.setattr(silence, "SILENT_AFTER", silence.TICK)
    called: Counter[str] = Counter()

    async def hang(request: web.Request) -> web.Response:
        called[request.path.rpartition("/")[2]] += 1
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hang)
    metrics, clock, ann = Metrics(), SystemClock(), user("ann")
    background = Background(metrics)
    async with TestServer(app) as server:
        stores = StaticDiscovery({"store": [Endpoint("store-1", f"http://127.0.0.1:{server.port}")]})
        client = ServiceClient(
            "store", discovery=stores, token=TOKEN, metrics=metrics, clock=clock, deadline=PATIENCE, outages=background
        )
        store = Store(client, clock=clock, metrics=metrics, background=background, deadline=2 * PATIENCE)

        async def page() -> None:
            async with store.page_turn(ann):
                await store.history(ann, "news")

        async with client, store, asyncio.timeout(PATIENCE):
            pages = await asyncio.gather(*(page() for _ in range(3 * CONCURRENT_PAGES)), return_exceptions=True)
            assert all(isinstance(told, NotifyxError) for told in pages)
            assert called["notifications"] == CONCURRENT_PAGES, "the others do not wait anew"
            joins = await asyncio.gather(*(store.join(ann, "news") for _ in range(3)), return_exceptions=True)
            assert all(isinstance(told, NotifyxError) for told in joins)


async def test_a_store_of_the_previous_release_is_asked_for_each_page_alone() -> None:
    async def alone(request: web.Request) -> web.Response:
        return web.json_response({"items": [request.path]})

    async def unknown(request: web.Request) -> web.Response:
        return web.json_response(NotFound("There is nothing at this path.").to_problem(), status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", alone)
    app.router.add_post("/{path:.*}", unknown)
    metrics, clock = Metrics(), SystemClock()
    async with TestServer(app) as server:
        stores = StaticDiscovery({"store": [Endpoint("store-1", f"http://127.0.0.1:{server.port}")]})
        client = ServiceClient("store", discovery=stores, token=TOKEN, metrics=metrics, clock=clock)
        store = Store(client, clock=clock, metrics=metrics, background=Background(metrics))
        async with client, store:
            pages = await asyncio.gather(
                store.log_page(user("ann"), "news", limit=2),
                store.inbox(user("bob"), limit=2),
                store.inbox(user("ann"), limit=2),
            )
    paths = [orjson.loads(page.content)["items"] for page in pages]
    assert paths == [[f"{V1}/topics/news/notifications"], [f"{V1}/inbox"], [f"{V1}/inbox"]]
