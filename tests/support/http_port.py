"""A server of the platform alone, with clients that write what they like."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import uvloop
from prometheus_client import CollectorRegistry

from notifyx_common.errors import NotifyxError
from notifyx_common.metrics import Metrics
from notifyx_common.serving.answers import AnswerBudget, AnswerLimits, hold_answers
from notifyx_common.serving.current import current_request, current_state
from notifyx_common.serving.direct import DirectSteps, answer_errors, direct
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_server import HttpServer
from notifyx_common.serving.http_turns import RequestTurns
from notifyx_common.serving.lifecycle import bind
from notifyx_common.serving.replies import Reply
from notifyx_common.serving.rules import App
from support.patience import PATIENCE

LIMITS = HttpLimits(
    head_timeout=PATIENCE, idle_timeout=10 * PATIENCE, body_timeout=PATIENCE, body_rate=1 << 20, write_timeout=PATIENCE
)
QUICK = dataclasses.replace(LIMITS, head_timeout=0.5, body_timeout=0.5, write_timeout=0.5)
"""For tests of these times."""

ANSWER = b"x" * (8 << 20)
"""More than the kernel buffers for a connection."""

BOTH_WAYS = pytest.mark.parametrize("directly", [False, True], ids=["quart", "direct"])

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Failed(NotifyxError):
    """What the view of ``/fails`` raises."""


def failed(error: Exception) -> Reply:
    """Keep the error, as the services do, and answer."""
    assert isinstance(error, Failed)
    current_state().error = error
    return Reply(b"failed", 500)


@dataclass
class Server:
    """A running server. ``slow`` is set while ``/slow`` is being answered, ``go`` lets it answer.

    ``closing`` stops the server.
    """

    port: int
    registry: CollectorRegistry
    slow: asyncio.Event
    go: asyncio.Event
    closing: asyncio.Event
    calls: Counter[str]
    """How often each path was answered, of those that count."""

    @property
    def connections(self) -> float | None:
        """How many connections there are."""
        return self.registry.get_sample_value("notifyx_pool_places", {"pool": "http_connections", "state": "used"})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def closed(self, reason: str) -> float:
        """How many connections were closed for that reason."""
        return self.registry.get_sample_value("notifyx_http_connections_closed_total", {"reason": reason}) or 0.0

    async def open(self, sent: bytes = b"") -> Client:
        """A connection on which ``sent`` was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        return reader, writer

    async def answers(self) -> None:
        """Fail unless a new connection is answered."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/") as response:
            assert response.status == 200


@contextlib.asynccontextmanager
async def serving(
    limits: HttpLimits = LIMITS, *, of_address: int | None = None, directly: bool = False
) -> AsyncIterator[Server]:
    """A server whose requests Quart answers, or the connection ``directly``."""
    app, metrics, closing = App("abuse"), Metrics(), asyncio.Event()
    app.config.update(MAX_CONTENT_LENGTH=1 << 20, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    slow, go = asyncio.Event(), asyncio.Event()
    calls = Counter[str]()
    hold_answers(app, AnswerBudget(AnswerLimits(), metrics))
    if directly:
        DirectSteps().install(app)
    answer_errors(app, Failed, failed)

    @app.get("/")
    @direct
    async def small() -> Reply:
        calls["/"] += 1
        return Reply(b"here")

    @app.get("/large")
    @direct
    async def large() -> Reply:
        return Reply(ANSWER)

    @app.get("/fails")
    @direct
    async def fail() -> Reply:
        raise Failed("It fails.")

    @app.get("/slow")
    @direct
    async def answer_later() -> Reply:
        slow.set()
        await go.wait()
        return Reply(b"late")

    @app.post("/")
    @direct
    async def length() -> Reply:
        return Reply(str(len(await current_request().get_data())).encode())

    connections = Connections("http_connections", limits, metrics, limit_of=lambda _: of_address)
    with bind("127.0.0.1", 0, "NOTIFYX_PORT") as sock:
        server = HttpServer(app, sock, limits=limits, connections=connections, turns=RequestTurns())
        server.grace = 2 * PATIENCE
        running = asyncio.create_task(server.run(closing))
        try:
            yield Server(sock.getsockname()[1], metrics.registry, slow, go, closing, calls)
        finally:
            closing.set()
            await running


async def rest(client: Client) -> bytes:
    """What the server still sends before it closes."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            return await client[0].read()
    return b""


async def ended(clients: Iterable[Client]) -> list[bytes]:
    """What each client got, once the server has closed them all."""
    return await asyncio.gather(*(rest(client) for client in clients))


def close(clients: Iterable[Client]) -> None:
    for _, writer in clients:
        writer.close()


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


def on_uvloop(test: Coroutine[Any, Any, None]) -> None:
    """Run a test on the event loop of the services."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)
