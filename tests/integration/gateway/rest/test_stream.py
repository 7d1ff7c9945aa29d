"""Server-sent events: live, resumed, ended by what ends them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from notifyx_common.contracts.gateway import CONNECTIONS, UNKNOWN_USERS
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack, service_token
from support.patience import PATIENCE


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres, gateway={"stream_keep_alive": 0.2, "max_streams": 3}) as running:
        yield running


@dataclass
class Event:
    name: str
    id: int | None
    data: Any


class Reader:
    """Reads one stream as a browser would."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.comments = 0

    async def next(self, *, acks: bool = False) -> Event | None:
        """The next event; ``None`` at the end. Where one stands may be told at any time; skipped unless ``acks``."""
        while (event := await self._next()) is not None and event.name == "acked" and not acks:
            continue
        return event

    async def _next(self) -> Event | None:
        async with asyncio.timeout(PATIENCE):
            while True:
                fields: dict[str, str] = {}
                while line := (await self._response.content.readline()).decode():
                    if not line.strip():
                        break
                    name, _, value = line.rstrip("\n").partition(": ")
                    self.comments += name.startswith(":") or name == ""
                    fields[name] = value
                else:
                    return None
                if "data" in fields:
                    number = int(fields["id"]) if "id" in fields else None
                    return Event(fields.get("event", "message"), number, json.loads(fields["data"]))

    async def seqs(self, count: int) -> list[int]:
        found: list[int] = []
        for _ in range(count):
            event = await self.next()
            assert event is not None
            assert event.name == "message"
            assert event.id is not None
            assert event.id == event.data["seq"]
            found.append(event.id)
        return found


@contextlib.asynccontextmanager
async def streaming(stack: Stack, topic: str, token: str, query: str = "", **headers: str) -> AsyncIterator[Reader]:
    url = f"{stack.url}/api/v1/topics/{topic}/stream{query}"
    async with stack.session.get(url, headers={"Authorization": f"Bearer {token}", **headers}) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        yield Reader(response)


async def publish(stack: Stack, token: str, topic: str, first: int, last: int) -> None:
    items = [{"topic": topic, "title": str(number)} for number in range(first, last + 1)]
    answer = await stack.ok("POST", "/notifications:batch", token, json={"items": items})
    assert {item["status"] for item in answer["items"]} == {201}


async def test_the_platform_counts_who_listens(stack: Stack) -> None:
    ada = await stack.person("ada")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})

    async def listening() -> Any:
        return (await stack.ok(CONNECTIONS.method, CONNECTIONS.path, service_token("gateway", "gateway")))["topics"]

    async with streaming(stack, "t", ada) as one, streaming(stack, "t", ada) as two:
        assert [event.name for event in (await one.next(), await two.next()) if event] == ["joined", "joined"]
        assert await listening() == {"t": 2}
    async with asyncio.timeout(PATIENCE):
        while await listening() != {}:
            await asyncio.sleep(0.02)
    rejected = await stack.call(CONNECTIONS.method, CONNECTIONS.path, ada)
    assert rejected.status == 401


async def test_the_platform_asks_which_users_do_not_exist(stack: Stack) -> None:
    named = [await stack.id_of("ada"), "ADA@example.com", "nobody", "nobody@example.com"]
    token = service_token("gateway", "gateway")
    unknown = await stack.ok(UNKNOWN_USERS.method, UNKNOWN_USERS.path, token, json={"users": named})
    assert unknown == {"users": named[2:]}


async def test_a_stream_resumes_where_it_was_and_stays_alive_in_silence(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    await publish(stack, ada, "t", 1, 5)
    async with streaming(stack, "t", bob) as live:
        joined = await live.next()
        assert joined is not None
        assert (joined.name, joined.id, joined.data["last_seq"]) == ("joined", None, 5)
        await publish(stack, ada, "t", 6, 8)
        assert await live.seqs(3) == [6, 7, 8]
        await asyncio.sleep(0.5)
        await stack.ok("POST", "/topics/t/acks", bob, json={"up_to": 7})
        while (acked := await live.next(acks=True)) is not None and acked.data.get("up_to") != 7:
            assert acked.name == "acked"
        assert acked is not None
        assert live.comments >= 1
    # A browser opens the same URL again, and adds what it saw last: that wins over what the URL says.
    for query in ("", "?since=0", "?lastEventId=1", "?since=0&lastEventId=9"):
        async with streaming(stack, "t", bob, query, **{"Last-Event-ID": "2"}) as resumed:
            assert (await resumed.next()).name == "joined"  # type: ignore[union-attr]
            assert await resumed.seqs(6) == [3, 4, 5, 6, 7, 8]
    async with streaming(stack, "t", bob, "?since=0&lastEventId=2") as resumed:
        assert (await resumed.next()).name == "joined"  # type: ignore[union-attr]
        assert await resumed.seqs(6) == [3, 4, 5, 6, 7, 8]
    async with streaming(stack, "t", bob, "?since=0") as whole:
        assert (await whole.next()).name == "joined"  # type: ignore[union-attr]
        assert await whole.seqs(8) == list(range(1, 9))
    async with asyncio.timeout(PATIENCE):
        while stack.gateway.streams.count:
            await asyncio.sleep(0.01)


async def test_a_stream_tells_what_changes_its_topic_and_ends_with_it_and_with_the_right_to_read(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    for name in ("gone", "closed"):
        await stack.ok("POST", "/topics", ada, json={"name": name})
    async with streaming(stack, "gone", bob) as gone, streaming(stack, "closed", bob) as closed:
        joined = await gone.next()
        assert joined is not None
        await closed.next()
        await stack.ok("PATCH", "/topics/gone", ada, json={"title": "Going"})
        changed = await gone.next()
        assert changed is not None
        assert (changed.name, changed.id, changed.data["topic"]) == ("topic_changed", None, "gone")
        async with streaming(stack, "gone", bob) as later:
            again = await later.next()
            assert again is not None
            assert joined.data["version"] != changed.data["version"] == again.data["version"]
        await stack.call("DELETE", "/topics/gone", ada)
        await stack.ok("PATCH", "/topics/closed", ada, json={"visibility": "private"})
        assert (await gone.next()).name == "topic_deleted"  # type: ignore[union-attr]
        assert await gone.next() is None
        last = await closed.next()
        assert last is not None
        assert last.name in ("error", "topic_deleted")
        assert await closed.next() is None


async def test_a_stream_ends_with_its_access_token(postgres: Cluster) -> None:
    async with running_stack(postgres, auth={"access_token_seconds": 10}) as stack:
        ada = await stack.person("ada")
        await stack.ok("POST", "/topics", ada, json={"name": "t"})
        async with streaming(stack, "t", ada) as live:
            await live.next()
            last = await live.next()
            assert last is not None
            assert (last.name, last.data["code"]) == ("error", "token_expired")
            assert await live.next() is None


async def test_streams_are_bounded_refused_with_reason_and_private_topics_stay_so(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    await stack.ok("POST", "/topics", ada, json={"name": "secret", "visibility": "private"})
    assert (await stack.call("GET", "/topics/secret/stream", bob)).status == 404
    assert (await stack.call("GET", "/topics/t/stream")).status == 401
    assert (await stack.call("GET", "/topics/t/stream?since=x", bob)).status == 400
    assert (await stack.call("GET", "/topics/t/stream?lastEventId=x", bob)).status == 400
    head = await stack.call("HEAD", "/topics/t/stream", bob)
    assert (head.status, head.raw, stack.gateway.streams.count) == (200, b"", 0)
    async with contextlib.AsyncExitStack() as several:
        for _ in range(3):
            reader = await several.enter_async_context(streaming(stack, "t", bob))
            await reader.next()
        assert (await stack.call("GET", "/topics/t/stream", bob)).status == 429


async def test_a_client_that_does_not_read_loses_its_stream_and_nothing_else(postgres: Cluster) -> None:
    async with running_stack(postgres, gateway={"max_pending": 512 << 10}) as stack:
        ada = await stack.person("ada")
        await stack.ok("POST", "/topics", ada, json={"name": "t"})
        host, port = stack.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /api/v1/topics/t/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada}\r\n\r\n".encode())
        await reader.readuntil(b"event: joined")
        async with streaming(stack, "t", ada) as other:
            await other.next()
            for number in range(60):
                items = [{"topic": "t", "body": "x" * 30_000} for _ in range(8)]
                await stack.ok("POST", "/notifications:batch", ada, json={"items": items})
                assert await other.seqs(8) == list(range(number * 8 + 1, number * 8 + 9))
            async with asyncio.timeout(PATIENCE):
                while stack.gateway.streams.count > 1:
                    await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_drain_ends_streams_and_refuses_new_ones(stack: Stack) -> None:
    ada = await stack.person("ada")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    async with streaming(stack, "t", ada) as live:
        await live.next()
        async with asyncio.timeout(PATIENCE):
            await stack.gateway.streams.drain()
        assert (await live.next()).name == "restart"  # type: ignore[union-attr]
        assert await live.next() is None
    assert (await stack.call("GET", "/topics/t/stream", ada)).status == 503
