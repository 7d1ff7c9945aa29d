"""Attempts on the socket: frames without end, connections that prove nothing, and connections that never end."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import IPv4Network, ip_network
from statistics import median
from typing import Any

import orjson
import pytest

from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.upstream.batching import LaneLimits
from support.auth import HandClock
from support.clock import LoopTime
from support.memory_store import MemoryStore
from support.patience import PATIENCE, until
from support.raw_socket import Raw, connected, request, upgrade
from support.socket_gateway import Gateway, running_gateway

SETTINGS = SocketSettings(
    port=0, idle_check_interval=0.1, close_grace=0.3, proof_timeout=PATIENCE, write_timeout=10 * PATIENCE
)
DIRECT = (ip_network("192.0.2.0/24"),)
"""Proxies that are elsewhere: who connects from here is one client."""

USER_ANN = "/socket/websocket?vsn=2.0.0&token=user.ann"


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        store.topic("news")
        yield store


def counted(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.metrics.registry.get_sample_value(f"notifyx_{name}", labels) or 0.0


def text(*parts: object) -> bytes:
    """A masked text frame."""
    payload = orjson.dumps(list(parts))
    length = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    return b"\x81" + length + b"\0\0\0\0" + payload


async def drained(raw: Raw) -> bytes:
    """Read until the server closes the connection."""
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await raw.reader.read(1 << 16):
            received += data
    return bytes(received)


# Frames without end


async def test_others_are_answered_while_sockets_send_without_end(memory: MemoryStore) -> None:
    flood = b"".join(text(None, str(n), "phoenix", "heartbeat", {}) for n in range(1000))
    flood += text(None, "last", "phoenix", "heartbeat", {})
    settings = replace(SETTINGS, control_burst=10**6)
    async with running_gateway([memory.url], settings=settings) as gateway, contextlib.AsyncExitStack() as stack:
        flooding = [await stack.enter_async_context(connected(gateway)) for _ in range(30)]
        other = await stack.enter_async_context(connected(gateway, "user.bob"))
        waited: list[float] = []

        async def answered(raw: Raw) -> None:
            raw.writer.write(flood)
            last = b""
            while b'"last"' not in last:
                last = last[-100:] + await raw.reader.read(1 << 16)

        async def measured() -> None:
            while True:
                asked = time.perf_counter()
                other.message(None, "1", "phoenix", "heartbeat", {})
                await other.reply()
                waited.append(time.perf_counter() - asked)

        started = time.perf_counter()
        measuring = asyncio.create_task(measured())
        await asyncio.gather(*(answered(raw) for raw in flooding))
        took = time.perf_counter() - started
        measuring.cancel()
        assert median(waited) < took / 5, "answers come between those of the flood"


async def test_joins_and_leaves_without_end_are_paced_and_then_end_the_connection(memory: MemoryStore) -> None:
    # Time stands still for the budget, which is refilled as the machine's time passes.
    settings = replace(SETTINGS, control_per_second=1000, control_burst=20)
    flood = b"".join(
        text(str(n), str(n), "topic:news", "phx_join", {}) + text(str(n), f"{n}-", "topic:news", "phx_leave", {})
        for n in range(2000)
    )
    running = running_gateway([memory.url], settings=settings, clock=HandClock())
    async with running as gateway, connected(gateway) as raw:
        raw.writer.write(flood)
        assert await raw.close_code() == 1008
        await drained(raw)
        assert counted(gateway, "reading_pauses_total", cause="budget") > 10
        joins = sum(
            counted(gateway, "joins_total", outcome=outcome) for outcome in ("ok", "left", "unavailable", "internal")
        )
        assert 10 <= joins <= 100
        await until(lambda: gateway.listener.connections == 0)


async def test_a_client_that_joins_and_leaves_all_its_channels_is_not_paced(memory: MemoryStore) -> None:
    for number in range(100):
        memory.topic(f"t{number}")
    async with running_gateway([memory.url], settings=SETTINGS) as gateway, connected(gateway) as raw:
        for turn in range(3):
            for number in range(100):
                raw.message(f"{turn}", f"{turn}.{number}", f"topic:t{number}", "phx_join", {})
            assert [(await raw.answer())[4]["status"] for _ in range(100)] == ["ok"] * 100
            for number in range(100):
                raw.message(f"{turn}", f"{turn}-{number}", f"topic:t{number}", "phx_leave", {})
            assert [(await raw.answer())[4]["status"] for _ in range(100)] == ["ok"] * 100
        assert counted(gateway, "reading_pauses_total", cause="budget") == 0


@pytest.mark.parametrize("waits_for_its_joins", [True, False])
async def test_who_publishes_without_waiting_is_paced_and_never_refused(
    memory: MemoryStore, waits_for_its_joins: bool
) -> None:
    topics = [f"t{number}" for number in range(10)]
    for topic in topics:
        memory.topic(topic)
    joins = b"".join(text(topic, topic, f"topic:{topic}", "phx_join", {}) for topic in topics)
    publishes = b"".join(
        text(topic, f"{topic} {number}", f"topic:{topic}", "publish", {"body": str(number)})
        for number in range(300)
        for topic in topics
    )
    async with running_gateway([memory.url], settings=SETTINGS) as gateway, connected(gateway) as raw:
        answers: dict[str, dict[str, Any]] = {}

        async def read(count: int) -> None:
            while len(answers) < count:
                answer = await raw.answer()
                answers[answer[1]] = answer[4]

        raw.writer.write(joins)
        if waits_for_its_joins:
            await read(len(topics))
        memory.answering.clear()  # a fast store would leave less unanswered than may be
        raw.writer.write(publishes)
        await until(lambda: counted(gateway, "reading_pauses_total", cause="in_flight") > 0)
        memory.answering.set()
        await read(len(topics) * 301)
        assert {ref for ref, answer in answers.items() if answer["status"] != "ok"} == set()
        for topic in topics:
            seqs = [answers[f"{topic} {number}"]["response"]["seq"] for number in range(300)]
            assert seqs == list(range(1, 301))


async def test_accounts_that_publish_over_many_sockets_are_paced_and_never_refused(memory: MemoryStore) -> None:
    join = text("1", "join", "topic:news", "phx_join", {})
    publishes = b"".join(text("1", str(number), "topic:news", "publish", {"body": "x"}) for number in range(40))
    lanes = LaneLimits(max_queued=80)  # an account may queue 20

    async def publish(raw: Raw) -> list[dict[str, Any]]:
        raw.writer.write(join + publishes)
        answers: dict[str, dict[str, Any]] = {}
        while len(answers) < 41:
            answer = await raw.answer()
            answers[answer[1]] = answer[4]
        return [answers[str(number)] for number in range(40)]

    async with (
        running_gateway([memory.url], settings=SETTINGS, lanes=lanes) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        owners = ["ann"] * 6 + ["bob", "cat", "dan", "eve"]
        sockets = [await stack.enter_async_context(connected(gateway, f"user.{name}")) for name in owners]
        for answers in await asyncio.gather(*map(publish, sockets)):
            assert {answer["status"] for answer in answers} == {"ok"}
            seqs = [answer["response"]["seq"] for answer in answers]
            assert seqs == sorted(seqs)


async def test_nothing_is_read_from_a_client_that_reads_no_answers(memory: MemoryStore) -> None:
    settings = replace(SETTINGS, control_burst=10**6)
    async with running_gateway([memory.url], settings=settings) as gateway, connected(gateway) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        ping = b"\x89\xfd\0\0\0\0" + b"p" * 125
        sent = 0

        async def send() -> None:
            nonlocal sent
            while True:
                raw.writer.write(ping * 100)
                await raw.writer.drain()
                sent += 100

        sending = asyncio.create_task(send())
        await until(lambda: counted(gateway, "reading_pauses_total", cause="unwritten") > 0)
        before = -1
        while sent != before:  # the kernel's buffers are full
            before = sent
            await asyncio.sleep(0.2)
        assert gateway.listener.connections == 1
        assert counted(gateway, "disconnects_total", reason="1013") == 0, "its answers stay within their bound"
        sending.cancel()


async def test_an_account_changes_little_at_once_over_all_its_sockets(memory: MemoryStore) -> None:
    async with running_gateway([memory.url], settings=SETTINGS) as gateway, contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connected(gateway)) for _ in range(5)]
        for raw in sockets:
            raw.message("1", "1", "topic:news", "phx_join", {})
            await raw.answer()
        memory.answering.clear()
        for raw in sockets:
            for n in range(20):
                raw.message("1", f"c{n}", "topic:news", "subscribe" if n % 2 else "unsubscribe", {})
            raw.message(None, "read", "phoenix", "heartbeat", {})
            assert (await raw.answer())[1] == "read", "all were read before it"
        await until(lambda: memory.at_work["ann"] >= 4)
        for n in range(20, 40):
            sockets[0].message("1", f"c{n}", "topic:news", "subscribe", {})
        await until(lambda: counted(gateway, "reading_pauses_total", cause="in_flight") == 1)
        memory.answering.set()
        for raw in sockets:
            answers = [await raw.answer() for _ in range(40 if raw is sockets[0] else 20)]
            assert {answer[4]["status"] for answer in answers} == {"ok"}
        assert memory.most_at_work["ann"] == 4


async def test_refused_requests_without_end_are_paced_and_then_end_the_connection(memory: MemoryStore) -> None:
    settings = replace(SETTINGS, control_per_second=1000, control_burst=20)
    flood = b"".join(
        text("1", str(n), "user:me", "send", {"to": f"nobody{n}@example.org", "body": "x"}) for n in range(500)
    )
    running = running_gateway([memory.url], settings=settings, clock=HandClock())
    async with running as gateway, connected(gateway) as raw:
        raw.message("1", "1", "user:me", "phx_join", {})
        await raw.answer()
        raw.writer.write(flood)
        assert await raw.close_code() == 1008
        await drained(raw)
        assert counted(gateway, "reading_pauses_total", cause="budget") > 0


# Connections that prove nothing


async def test_an_invented_key_gets_no_socket(memory: MemoryStore) -> None:
    async with running_gateway([memory.url], settings=SETTINGS) as gateway:
        status, body, _ = await upgrade(gateway, "/socket/websocket?vsn=2.0.0&token=nfx_bad")
        assert (status, body) == (403, "The API key is not valid.")
        assert gateway.listener.connections == 0


async def test_a_key_that_nobody_verifies_in_time_gets_no_socket(memory: MemoryStore) -> None:
    settings = replace(SETTINGS, proof_timeout=0.3)
    async with running_gateway([memory.url], settings=settings) as gateway:
        gateway.tokens.answering.clear()
        assert (await upgrade(gateway, "/socket/websocket?vsn=2.0.0&token=nfx_ann"))[0] == 503
        assert gateway.listener.connections == gateway.listener.unproved == 0


@pytest.mark.parametrize("said", [b"", b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_that_asks_for_nothing_is_gone_in_time(memory: MemoryStore, said: bytes) -> None:
    settings = replace(SETTINGS, proof_timeout=0.3)
    async with running_gateway([memory.url], settings=settings) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.listener.port)
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        assert gateway.listener.unproved == 0
        assert counted(gateway, "connections_aborted_total", cause="unproved") == 1
        writer.close()


@pytest.mark.parametrize("cap", ["max_unproved", "max_unproved_per_address"])
async def test_connections_that_prove_nothing_push_out_each_other_and_no_user(memory: MemoryStore, cap: str) -> None:
    settings = replace(SETTINGS, trusted_proxies=DIRECT, **{cap: 5})  # type: ignore[arg-type]
    async with running_gateway([memory.url], settings=settings) as gateway:
        silent = [await asyncio.open_connection("127.0.0.1", gateway.listener.port) for _ in range(20)]
        await until(lambda: counted(gateway, "connections_aborted_total", cause="crowded") == 15)
        assert gateway.listener.unproved == 5
        async with connected(gateway) as raw:
            raw.message(None, "1", "phoenix", "heartbeat", {})
            assert (await raw.reply())[1] == "1"
        for _, writer in silent:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await until(lambda: gateway.listener.unproved == gateway.listener.connections == 0)


async def test_what_follows_a_request_before_its_answer_is_not_kept(memory: MemoryStore) -> None:
    async with running_gateway([memory.url], settings=SETTINGS) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.listener.port)
        writer.write(request("user.ann") + text(None, "1", "phoenix", "heartbeat", {}))
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400 ")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.listener.port)
        writer.write(b"GET /" + b"x" * (17 << 10))
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 431 ")
        writer.close()


@pytest.mark.parametrize(
    ("cap", "status", "other"),
    [
        ("max_connections_per_user", 429, 101),
        ("max_connections_per_address", 429, 429),
        ("max_connections", 503, 503),
    ],
)
async def test_connections_are_capped(memory: MemoryStore, cap: str, status: int, other: int) -> None:
    settings = replace(SETTINGS, trusted_proxies=DIRECT, **{cap: 2})  # type: ignore[arg-type]
    async with running_gateway([memory.url], settings=settings) as gateway:
        async with connected(gateway), connected(gateway, "nfx_ann"):
            assert (await upgrade(gateway, USER_ANN))[0] == status
            assert (await upgrade(gateway, "/socket/websocket?vsn=2.0.0&token=user.bob"))[0] == other
            label = cap.removeprefix("max_connections").removeprefix("_per_") or "node"
            assert counted(gateway, "connections_rejected_total", cap=label) >= 1
        await until(lambda: gateway.listener.connections == 0)
        assert (await upgrade(gateway, USER_ANN))[0] == 101


@pytest.mark.parametrize("networks", [(ip_network("127.0.0.0/8"),), ()])
async def test_a_proxy_has_no_cap_of_its_own_but_a_client_behind_a_trusted_one_has(
    memory: MemoryStore, networks: tuple[IPv4Network, ...]
) -> None:
    settings = replace(SETTINGS, max_connections_per_address=1, max_unproved_per_address=1, trusted_proxies=networks)
    async with running_gateway([memory.url], settings=settings) as gateway, connected(gateway), connected(gateway):
        forwarded = {"X-Forwarded-For": "192.0.2.1"}
        assert (await upgrade(gateway, USER_ANN, forwarded))[0] == 101
        await until(lambda: gateway.listener.connections == 2)
        async with connected(gateway, headers=forwarded):
            assert (await upgrade(gateway, USER_ANN, forwarded))[0] == (429 if networks else 101)


# Connections that never end


@contextlib.asynccontextmanager
async def clogged(gateway: Gateway, memory: MemoryStore) -> AsyncIterator[Raw]:
    """A client that reads nothing, for whom more waits than the kernel takes."""
    async with connected(gateway) as raw:
        raw.message("1", "1", "topic:news", "phx_join", {})
        await raw.reply()
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not counted(gateway, "reading_pauses_total", cause="unwritten"):
            memory.append("news", "x" * 50_000)
            await asyncio.sleep(0.001)
        yield raw


def closes(raw: Raw) -> None:
    raw.frame(8, struct.pack("!H", 1000))


def sends_nothing_more(raw: Raw) -> None:
    raw.writer.write_eof()


def sends_no_frame(raw: Raw) -> None:
    raw.frame(3, b"x")


def sends_no_message(raw: Raw) -> None:
    raw.frame(1, b"x")


@pytest.mark.parametrize(
    ("end", "reason"),
    [(closes, "client"), (sends_nothing_more, "client"), (sends_no_frame, "1002"), (sends_no_message, "1007")],
)
async def test_whoever_closes_a_connection_that_is_not_read_its_descriptor_is_closed(
    memory: MemoryStore, end: Callable[[Raw], None], reason: str
) -> None:
    time = LoopTime()
    settings = replace(SETTINGS, close_grace=2 * PATIENCE)
    async with running_gateway([memory.url], settings=settings) as gateway, clogged(gateway, memory) as raw:
        assert counted(gateway, "connections", transport="websocket") == gateway.listener.connections == 1
        end(raw)
        await until(lambda: counted(gateway, "disconnects_total", reason=reason) == 1)
        assert counted(gateway, "connections", transport="websocket") == 1, "its descriptor is still open"
        time.ahead = 2 * PATIENCE
        await until(lambda: gateway.listener.connections == 0)
        assert counted(gateway, "connections", transport="websocket") == 0
        assert counted(gateway, "connections_aborted_total", cause="not_closing") == 1


async def test_a_drain_ends_connections_that_are_not_read(memory: MemoryStore) -> None:
    async with running_gateway([memory.url], settings=SETTINGS) as gateway, clogged(gateway, memory):
        await gateway.listener.drain()
        await until(lambda: gateway.listener.connections == 0)


async def test_a_client_that_reads_nothing_of_what_waits_is_disconnected(memory: MemoryStore) -> None:
    settings = replace(SETTINGS, write_timeout=0.5)
    async with running_gateway([memory.url], settings=settings) as gateway, clogged(gateway, memory):
        await until(lambda: gateway.listener.connections == 0)
        assert counted(gateway, "disconnects_total", reason="not_reading") == 1
