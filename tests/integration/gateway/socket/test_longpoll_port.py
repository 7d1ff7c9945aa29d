"""Long poll on the socket's own port, where the official client asks for it when it has no WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from quart import Quart

from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_common.serving.answers import AnswerBudget, AnswerLimits, hold_answers
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_turns import RequestTurns
from notifyx_gateway.socket.longpoll import LongPoll
from notifyx_gateway.socket.longpoll_port import LongPollPort
from notifyx_gateway.socket.settings import SocketSettings
from support.memory_store import MemoryStore
from support.patience import PATIENCE
from support.socket_gateway import Gateway, running_gateway

LIMITS = HttpLimits()
PER_ADDRESS = 2


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A socket whose port serves long poll, with an app that has another path too."""
    app, metrics = Quart("gateway"), Metrics()
    hold_answers(app, AnswerBudget(AnswerLimits(), metrics))
    app.add_url_rule("/other", view_func=lambda: "found")
    connections = Connections("http_connections", LIMITS, metrics, limit_of=lambda _: PER_ADDRESS)
    background = Background(metrics)
    port = LongPollPort(app, limits=LIMITS, connections=connections, turns=RequestTurns(), background=background)
    async with MemoryStore() as store, port:
        store.topic("news")
        settings = SocketSettings(port=0, max_unproved=1)
        async with (
            running_gateway([store.url], settings=settings, adopt=port.adopt) as running,
            LongPoll(running.listener.context) as poll,
        ):
            app.register_blueprint(poll.blueprint())
            yield running


async def test_a_client_that_knows_the_sockets_port_alone_joins_and_receives(gateway: Gateway) -> None:
    headers = {"X-Phoenix-AuthToken": "user.ann"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as one_connection:
        token = "null"

        async def get() -> dict[str, object]:
            nonlocal token
            url = f"{gateway.url}/longpoll?vsn=2.0.0&token={token}"
            async with one_connection.get(url, headers=headers) as response:
                found: dict[str, object] = orjson.loads(await response.read())
                token = str(found["token"])  # another one after each answer with messages
                return found

        await get()
        assert gateway.listener.unproved == 0, "it is no guest of the socket any more"
        lines = [["1", "1", "topic:news", "phx_join", {}], ["1", "2", "topic:news", "publish", {"body": "x" * 30_000}]]
        body = b"\n".join(map(orjson.dumps, lines))
        async with one_connection.post(f"{gateway.url}/longpoll?token={token}", data=body) as response:
            assert orjson.loads(await response.read()) == {"status": 200}
        seen: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while "notification" not in seen:
                messages = (await get())["messages"]
                assert isinstance(messages, list)
                seen += [orjson.loads(message)[3] for message in messages]
        for way in ("/other", "/socket/longpoll/x", "/"):
            async with one_connection.get(gateway.url.removesuffix("/socket") + way) as response:
                assert response.status == 404, "nothing else of the app is here"


async def test_who_keeps_connections_opens_a_websocket_after_a_poll(gateway: Gateway) -> None:
    """As a proxy does for another client."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as one_connection:
        async with one_connection.get(f"{gateway.url}/longpoll?vsn=2.0.0&token=null") as response:
            assert response.status == 200
            await response.read()
        async with one_connection.ws_connect(f"{gateway.url}/websocket?vsn=2.0.0&token=user.ann") as socket:
            await socket.send_str('[null,"1","phoenix","heartbeat",{}]')
            assert orjson.loads(await socket.receive_str(timeout=PATIENCE))[4]["status"] == "ok"


async def test_a_connection_there_counts_as_one_of_the_http_port(gateway: Gateway) -> None:
    port = gateway.listener.port
    head = b"POST /socket/longpoll?token=x HTTP/1.1\r\nHost: x\r\n"
    request = head + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    answers, writers = [], []
    async with asyncio.timeout(PATIENCE):
        for _ in range(PER_ADDRESS + 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            writer.write(request)
            try:
                answers.append(await reader.readline())
            except ConnectionError:
                answers.append(b"")
    for writer in writers:
        writer.close()
    assert answers == [b"HTTP/1.1 100 \r\n"] * PER_ADDRESS + [b""]


@pytest.mark.parametrize("target", ["/socket/longpol", "/socket/longpoll/", "//socket/longpoll", "/socket/%6congpoll"])
async def test_another_address_is_refused_as_before(gateway: Gateway, target: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.listener.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
    writer.close()
