"""Sign-ins by way of auth nodes of which one hangs, or is of the previous release."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pydantic import SecretStr

from notifyx_common.background import Background
from notifyx_common.calls import hangs, silence
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.auth import TokenRequest, TokenResponse
from notifyx_common.errors import NotFound
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.auth import Auth
from support.patience import PATIENCE

SIGN_IN = TokenRequest(grant_type="password", username="ada@example.org", password=SecretStr("secret"))


class AuthNode:
    """A node that ``hangs``, or answers all but calls with the ``unknown`` method."""

    def __init__(self, *, hangs: bool = False, unknown: str = "") -> None:
        self.calls: list[tuple[str, str]] = []
        self._hangs = hangs
        self._unknown = unknown

    async def handle(self, request: web.Request) -> web.Response:
        if request.path != "/readyz":
            self.calls.append((request.method, request.path))
        if self._hangs:
            await asyncio.Event().wait()
        if request.method == self._unknown:
            return web.json_response(NotFound("There is no such page.").to_problem(), status=404)
        return web.Response(body=TokenResponse(access_token="a", expires_in=300, scope="read").model_dump_json())


@contextlib.asynccontextmanager
async def auth_of(*nodes: AuthNode) -> AsyncIterator[Auth]:
    async with contextlib.AsyncExitStack() as stack:
        endpoints: list[Endpoint] = []
        for node in nodes:
            runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
            runner.app.router.add_route("*", "/{path:.*}", node.handle)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            endpoints.append(Endpoint(f"auth-{len(endpoints)}", f"http://127.0.0.1:{runner.addresses[0][1]}"))
        client = ServiceClient(
            "auth",
            discovery=StaticDiscovery({"auth": endpoints}),
            token="t" * 16,
            metrics=Metrics(),
            clock=SystemClock(),
            try_timeout=PATIENCE,
            deadline=PATIENCE,
            outages=Background(Metrics()),
        )
        yield Auth(await stack.enter_async_context(client))


async def test_a_sign_in_moves_from_a_node_that_hangs_with_the_id_of_its_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hangs, "SUSPECT_AFTER", 0.0)
    monkeypatch.setattr(hangs, "LATE_AFTER", silence.TICK)
    hung, other = AuthNode(hangs=True), AuthNode()
    async with auth_of(hung, other) as auth:
        for _ in range(2):  # of two calls one is the hung node's
            assert (await auth.token(SIGN_IN, "192.0.2.9", "client")).access_token == "a"
    assert len(hung.calls) == 1
    assert hung.calls[0] in other.calls
    assert len(set(other.calls)) == 2, "each sign-in has an id of its own"


async def test_an_auth_of_the_previous_release_signs_in_without_an_id() -> None:
    async with auth_of(AuthNode(unknown="PUT")) as auth:
        assert (await auth.token(SIGN_IN, "", "")).access_token == "a"
