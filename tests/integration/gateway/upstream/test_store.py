"""What a gateway says of a publish that the store may have committed."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.errors import DeadlineExceeded
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.store import Store
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
