"""REST, WebSocket and long poll read the same requests alike: what one accepts or refuses, the others do too."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
import pytest

from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.patience import PATIENCE
from support.readings import READINGS, Operation

Send = Callable[[Operation, str], Awaitable[str | None]]
"""Sends an operation with a payload in JSON; returns what is wrong with it, ``None`` where it was carried out."""

PATHS: dict[Operation, str] = {
    "publish": "/topics/t/notifications",
    "ack": "/topics/t/acks",
    "create_topic": "/topics",
}
CHANNELS: dict[Operation, str] = {"publish": "topic:t", "ack": "topic:t", "create_topic": "user:me"}


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        ada = await running.person("ada")
        await running.ok("POST", "/topics", ada, json={"name": "t"})
        await running.ok("PUT", "/topics/t/subscription", ada, json={})
        for title in ("one", "two"):
            await running.ok("POST", "/topics/t/notifications", ada, json={"title": title})
        yield running


@asynccontextmanager
async def rest(stack: Stack) -> AsyncIterator[Send]:
    token = await stack.person("ada")

    async def send(operation: Operation, text: str) -> str | None:
        reply = await stack.call(
            "POST", PATHS[operation], token, data=text, headers={"Content-Type": "application/json"}
        )
        assert reply.status in (200, 201, 400), reply.raw
        return str(reply.data["detail"]) if reply.status == 400 else None

    yield send


class Messages:
    """The messages of a client, and their replies, however they are carried."""

    def __init__(self, write: Callable[[str], Awaitable[None]], read: Callable[[], Awaitable[list[str]]]) -> None:
        self._write = write
        self._read = read
        self._refs = map(str, itertools.count(1))
        self._joined: dict[str, str] = {}

    async def request(self, join_ref: str, topic: str, event: str, payload: str, ref: str | None = None) -> Any:
        """Send and return the reply. Other messages are left aside."""
        ref = ref or next(self._refs)
        await self._write(f'["{join_ref}","{ref}","{topic}","{event}",{payload}]')
        while True:
            for text in await self._read():
                message = orjson.loads(text)
                if message[1] == ref and message[3] == "phx_reply":
                    return message[4]

    async def join(self, topic: str, params: str) -> Any:
        """Join with ``params`` in JSON and return the reply."""
        ref = self._joined[topic] = next(self._refs)
        return await self.request(ref, topic, "phx_join", params, ref)

    async def push(self, topic: str, event: str, payload: str) -> str | None:
        """Push, and return what is wrong with it."""
        reply = await self.request(self._joined[topic], topic, event, payload)
        return None if reply["status"] == "ok" else _detail(reply)


def _detail(reply: Any) -> str:
    assert reply["response"]["code"] == "validation_failed"
    return str(reply["response"]["reason"])


@asynccontextmanager
async def websocket(stack: Stack) -> AsyncIterator[Messages]:
    token = await stack.person("ada")
    url = f"http://127.0.0.1:{stack.gateway.socket.port}/socket/websocket?vsn=2.0.0&token={token}"
    async with stack.session.ws_connect(url) as socket:

        async def read() -> list[str]:
            return [await socket.receive_str(timeout=PATIENCE)]

        yield Messages(socket.send_str, read)


@asynccontextmanager
async def longpoll(stack: Stack) -> AsyncIterator[Messages]:
    address = f"{stack.url}/socket/longpoll?vsn=2.0.0"
    headers = {"X-Phoenix-AuthToken": await stack.person("ada")}

    async def call(method: str, url: str, data: str | None = None) -> Any:
        async with stack.session.request(method, url, headers=headers, data=data) as response:
            return orjson.loads(await response.read())

    opened = await call("GET", address)
    address += f"&token={opened['token']}"

    async def write(text: str) -> None:
        assert (await call("POST", address, text))["status"] == 200

    async def read() -> list[str]:
        texts: list[str] = (await call("GET", address))["messages"]
        return texts

    yield Messages(write, read)


DOORS = (rest, websocket, longpoll)
SOCKETS = (websocket, longpoll)


@pytest.mark.parametrize("door", DOORS)
async def test_each_door_accepts_and_refuses_the_same(stack: Stack, door: Callable[[Stack], Any]) -> None:
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(door(stack))
        if isinstance(client, Messages):
            assert (await client.join("topic:t", "{}"))["status"] == "ok"
            assert (await client.join("user:me", "{}"))["status"] == "ok"
        told = {}
        for reading in READINGS:
            if isinstance(client, Messages):
                wrong = await client.push(CHANNELS[reading.operation], reading.operation, reading.text)
            else:
                wrong = await client(reading.operation, reading.text)
            told[reading] = wrong
    expected = {reading: reading.wrong for reading in READINGS}
    assert {reading: _field(wrong) for reading, wrong in told.items()} == expected
    history = await stack.ok("GET", "/topics/t/notifications", await stack.person("ada"))
    assert orjson.dumps({"n": 90.0, "flag": True}) in [orjson.dumps(item["data"]) for item in history["items"]]


@pytest.mark.parametrize("door", SOCKETS)
async def test_a_channel_reads_positions_and_limits_alike(stack: Stack, door: Callable[[Stack], Any]) -> None:
    async with door(stack) as client:
        for since in ("0.5", "true", '"1"', "9007199254740992.0", "-1"):
            reply = await client.join("topic:t", f'{{"since":{since}}}')
            assert (reply["status"], _field(_detail(reply))) == ("error", "since"), since
        for since in ("1", "1.0", "1e0", "null"):
            reply = await client.join("topic:t", f'{{"since":{since}}}')
            assert reply["status"] == "ok", reply
        for limit in ("90", "90.0", "1e2"):
            assert await client.push("topic:t", "history", f'{{"limit":{limit}}}') is None
        for limit in ('"50"', "true", "90.5", "1e300", "201.0", "null"):
            wrong = await client.push("topic:t", "history", f'{{"limit":{limit}}}')
            assert _field(wrong) == "limit", limit


async def test_a_query_is_text_that_is_read_as_digits(stack: Stack) -> None:
    ada = await stack.person("ada")
    for good in ("after=1", "limit=20", "before=3"):
        await stack.ok("GET", f"/topics/t/notifications?{good}", ada)
    for bad in ("limit=20.0", "limit=1e1", "limit=true", "limit=", "after=-1", "limit=%2B5", "after=9007199254740992"):
        reply = await stack.call("GET", f"/topics/t/notifications?{bad}", ada)
        assert (reply.status, reply.code) == (400, "validation_failed"), bad


def _field(detail: str | None) -> str | None:
    """The field that a refusal names first."""
    return None if detail is None else detail.removeprefix("The request is not valid: ").partition(":")[0]
