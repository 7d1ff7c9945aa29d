"""Attempts on the long poll: sessions of nobody, and lines without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network

import aiohttp
import orjson
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.contracts.callers import token_headers
from notifyx_common.contracts.gateway import LONG_POLL, LONG_POLL_TOKEN
from notifyx_common.metrics import Metrics
from notifyx_common.serving.answers import AnswerBudget, AnswerLimits, hold_answers
from notifyx_common.serving.lifecycle import bind
from notifyx_common.serving.web import Readiness, create_app
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.socket.longpoll import LongPoll
from notifyx_gateway.socket.longpoll_peers import Peers, mark
from notifyx_gateway.socket.settings import SocketSettings
from support.auth import HandClock
from support.clock import LoopTime
from support.memory_store import MemoryStore
from support.patience import PATIENCE, until
from support.socket_gateway import INTERNAL_TOKEN, Gateway, running_gateway

MAILER_TOKEN = "token-of-a-mailer"
SETTINGS = SocketSettings(port=0, idle_check_interval=0.1, trusted_proxies=(ip_network("192.0.2.0/24"),))


@dataclass
class Door:
    """The long poll's URL, and what serves it."""

    url: str
    gateway: Gateway
    poll: LongPoll
    http: aiohttp.ClientSession

    async def ask(self, credential: str, token: str = "null") -> dict[str, object]:
        headers = {"X-Phoenix-AuthToken": credential}
        async with self.http.get(f"{self.url}?vsn=2.0.0&token={token}", headers=headers) as response:
            answer: dict[str, object] = orjson.loads(await response.read())
            return answer

    async def post(self, token: object, lines: list[bytes]) -> int:
        async with self.http.post(f"{self.url}?vsn=2.0.0&token={token}", data=b"\n".join(lines)) as response:
            return int(orjson.loads(await response.read())["status"])


@asynccontextmanager
async def serving(
    settings: SocketSettings, clock: Clock | None = None, *, instance: str = "gateway-1", other: Endpoint | None = None
) -> AsyncIterator[Door]:
    """A gateway that knows the ``other``, its long poll behind the check of services' tokens."""
    metrics, others = Metrics(), StaticDiscovery({} if other is None else {"gateway": [other]})
    client = ServiceClient("gateway", discovery=others, token=INTERNAL_TOKEN, metrics=metrics, clock=SystemClock())
    async with (
        MemoryStore() as memory,
        running_gateway([memory.url], settings=settings, clock=clock) as gateway,
        client,
        Peers(instance, client, deadline=PATIENCE) as peers,
    ):
        memory.topic("news")
        async with LongPoll(gateway.listener.context, peers) as poll, aiohttp.ClientSession() as http:
            tokens = GatewaySettings(internal_callers={"gateway": INTERNAL_TOKEN, "mailer": MAILER_TOKEN})
            app = create_app("gateway", tokens, metrics, Readiness(), gateway.listener.context.security)
            hold_answers(app, AnswerBudget(AnswerLimits(), Metrics()))
            app.register_blueprint(poll.blueprint())
            sock, closing, config = bind("127.0.0.1", 0, "NOTIFYX_PORT"), asyncio.Event(), Config()
            url = f"http://127.0.0.1:{sock.getsockname()[1]}/socket/longpoll"
            config.bind = [f"fd://{sock.detach()}"]
            config.accesslog = config.errorlog = None

            async def closed() -> None:
                await closing.wait()

            server = asyncio.create_task(serve(app, config, shutdown_trigger=closed))
            yield Door(url, gateway, poll, http)
            closing.set()
            await server


async def test_an_invented_key_gets_no_session() -> None:
    async with serving(SETTINGS) as door:
        assert (await door.ask("nfx_bad"))["status"] == 403
        assert door.poll.count == 0


async def test_a_key_that_nobody_verifies_gets_no_session_and_takes_no_place() -> None:
    time = LoopTime()
    settings = replace(SETTINGS, proof_timeout=PATIENCE, max_unproved_per_address=10, max_connections=2)
    async with serving(settings) as door:
        door.gateway.tokens.answering.clear()
        unproved = [asyncio.create_task(door.ask("nfx_ann")) for _ in range(30)]
        assert (await door.ask("user.bob"))["status"] == 410, "it is open"
        registry, refused = door.gateway.metrics.registry, ("notifyx_connections_rejected_total", {"cap": "address"})
        await until(lambda: registry.get_sample_value(*refused) == 20, "all but ten are refused")
        assert door.poll.count == 1
        time.ahead = PATIENCE
        assert {(await answer)["status"] for answer in unproved} == {500}
        assert door.poll.count <= 1, "only that of Bob"


@pytest.mark.parametrize("cap", ["max_connections_per_user", "max_connections_per_address", "max_connections"])
async def test_sessions_are_capped(cap: str) -> None:
    async with serving(replace(SETTINGS, **{cap: 2})) as door:  # type: ignore[arg-type]
        assert [(await door.ask("user.ann"))["status"] for _ in range(3)] == [410, 410, 500]


async def test_lines_without_end_are_paced_and_then_end_the_session() -> None:
    # Time stands still for the budget, which is refilled as the machine's time passes.
    async with serving(replace(SETTINGS, control_per_second=200, control_burst=20), HandClock()) as door:
        token = (await door.ask("user.ann"))["token"]
        lines = [orjson.dumps([None, str(n), "phoenix", "heartbeat", {}]) for n in range(100)]
        began = asyncio.get_running_loop().time()
        assert await door.post(token, lines) == 200
        assert asyncio.get_running_loop().time() - began > 0.09, "19 of them waited 5 ms each"
        assert await door.post(token, lines) == 410


async def test_a_session_has_few_requests_at_a_time() -> None:
    async with serving(replace(SETTINGS, max_in_flight=1)) as door:
        token = (await door.ask("user.ann"))["token"]
        join = orjson.dumps(["1", "1", "topic:news", "phx_join", {}])
        publish = orjson.dumps(["1", "2", "topic:news", "publish", {"body": "x"}])
        statuses = await asyncio.gather(*(door.post(token, [join, publish] * 50) for _ in range(20)))
        assert 410 in statuses
        assert door.poll.count == 0


@asynccontextmanager
async def two_gateways(settings: SocketSettings) -> AsyncIterator[tuple[Door, Door]]:
    """Two of them, the first of which forwards to the second."""
    async with serving(settings, instance="gateway-2") as second:
        other = Endpoint("gateway-2", second.url.removesuffix("/socket/longpoll"))
        async with serving(settings, other=other) as first:
            yield first, second


@pytest.mark.parametrize("key", ["user.ann", "nfx_ann"])
async def test_the_mark_of_another_gateway_opens_no_session_there(key: str) -> None:
    async with two_gateways(replace(SETTINGS, max_connections_per_address=2)) as (first, second):
        own = (await second.ask("user.bob"))["token"]
        assert await first.post(own, [b'[null,"1","phoenix","heartbeat",{}]']) == 200, "an open session is reached"
        invented = [f"{mark('gateway-2')}.{n:032}" for n in range(3)]
        assert [(await first.ask(key, token))["status"] for token in invented] == [410, 410, 500]
        assert (first.poll.count, second.poll.count) == (2, 1)
        assert await first.post(invented[0], []) == 410


@pytest.mark.parametrize("rest", ["x%0d%0aX-Injected:%20y", "%C3%A4" * 32, "", "x" * 4000])
async def test_what_is_no_token_goes_to_no_gateway(rest: str) -> None:
    async with two_gateways(SETTINGS) as (first, _):
        assert await first.post(f"{mark('gateway-2')}.{rest}", []) == 410
        assert (await first.ask("user.ann", f"{mark('gateway-2')}.{rest}"))["status"] == 410


async def test_only_gateways_forward_and_nothing_forwarded_opens_a_session() -> None:
    async with serving(SETTINGS) as door:
        url = f"{door.url.removesuffix('/socket/longpoll')}{LONG_POLL}"
        opened = str((await door.ask("user.ann"))["token"])

        async def status(session: str, service: str) -> int:
            headers = {LONG_POLL_TOKEN: session, "X-Phoenix-AuthToken": "user.ann", **token_headers(service)}
            async with door.http.get(f"{url}?vsn=2.0.0", headers=headers) as response:
                return response.status

        assert await door.post(opened, [b'[null,"1","phoenix","heartbeat",{}]']) == 200
        assert await status(opened, "user.ann") == 401
        assert await status(opened, MAILER_TOKEN) == 403
        assert await status(opened, INTERNAL_TOKEN) == 200
        assert await status("null", INTERNAL_TOKEN) == 404
        assert door.poll.count == 1


async def test_the_connections_of_another_gateway_are_not_counted_as_one_client() -> None:
    settings = GatewaySettings(internal_token=INTERNAL_TOKEN, port=0, socket_port=0, trusted_proxies=("192.0.2.0/24",))
    others = StaticDiscovery({"gateway": [Endpoint("gateway-2", "http://198.51.100.7:4000")]})
    node = GatewayNode(settings, discovery=others)
    async with node.gateways:
        assert node.connection_limit("198.51.100.7") is None
        assert node.connection_limit("198.51.100.8") == settings.http_max_connections_per_address
