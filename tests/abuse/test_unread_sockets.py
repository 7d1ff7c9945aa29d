"""Sockets of many accounts that are not read: what waits for all is bounded, and who reads notices nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from statistics import median

import orjson

from notifyx_gateway.delivery.hub import HubSettings
from notifyx_gateway.socket.settings import SocketSettings
from support.memory_store import MemoryStore
from support.patience import PATIENCE
from support.raw_socket import Raw, connected, request
from support.socket_gateway import Gateway, running_gateway

ACCOUNTS, SOCKETS = 5, 8
LIMIT = 4 << 20
ROWS, BODY = 30, "x" * 60_000
MEASURED = 60

SETTINGS = SocketSettings(port=0, close_grace=600.0, write_timeout=600.0, idle_timeout=600.0)


def counted(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.metrics.registry.get_sample_value(f"notifyx_{name}", labels) or 0.0


def waiting(gateway: Gateway) -> float:
    """Bytes that wait for all clients."""
    return counted(gateway, "pool_places", pool="pending_output", state="used")


@contextlib.asynccontextmanager
async def without_reading(gateway: Gateway, user: str, topic: str) -> AsyncIterator[Raw]:
    """A socket that joins ``topic`` from its start, has room for little of what follows, and is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 10)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", gateway.listener.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(request(f"user.{user}"))
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    raw = Raw(reader, writer)
    raw.message("1", "1", f"topic:{topic}", "phx_join", {"since": 0})
    try:
        yield raw
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class Subscriber:
    """A socket that is read."""

    def __init__(self, memory: MemoryStore, raw: Raw, topic: str) -> None:
        self.seqs: list[int] = []
        """What it received."""
        self._memory = memory
        self._raw = raw
        self._topic = topic

    async def join(self) -> None:
        self._raw.message("1", "1", f"topic:{self._topic}", "phx_join", {})
        await self._raw.answer()

    async def latencies(self, count: int) -> list[float]:
        """Publish and receive ``count`` notifications, one after the other: the seconds of each."""
        found = []
        for _ in range(count):
            published, seq = time.perf_counter(), self._memory.append(self._topic, "mine")
            while not self.seqs or self.seqs[-1] < seq:
                self.seqs.append((await self._raw.reply())[4]["seq"])
            found.append(time.perf_counter() - published)
        return found


async def read(raw: Raw, last: int) -> tuple[list[int], int | None]:
    """Read up to the notification ``last``, or a close frame: the seqs of the notifications, and the frame's code."""
    raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
    seqs: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while not seqs or seqs[-1] < last:
            opcode, payload = await raw.receive()
            if opcode == 8:
                return seqs, int.from_bytes(payload[:2], "big")
            message = orjson.loads(payload)
            if message[3] == "notification":
                seqs.append(message[4]["seq"])
    return seqs, None


async def test_what_waits_for_sockets_that_are_not_read_is_bounded_and_readers_notice_nothing() -> None:
    hub = HubSettings(max_pending_total=LIMIT, patience=1.0)
    async with (
        MemoryStore() as memory,
        running_gateway([memory.url], settings=SETTINGS, hub_settings=hub) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        memory.topic("mine")
        reader = Subscriber(memory, await stack.enter_async_context(connected(gateway, "user.bob")), "mine")
        await reader.join()
        alone = await reader.latencies(MEASURED)
        floods = [f"flood-{number}" for number in range(ACCOUNTS)]
        unread: list[tuple[str, Raw]] = []
        for flood in floods:
            memory.append(flood, BODY, ROWS)
            for _ in range(SOCKETS):
                raw = await stack.enter_async_context(without_reading(gateway, f"eve-{flood}", flood))
                unread.append((flood, raw))
        most, meanwhile = 0.0, list[float]()
        async with asyncio.timeout(PATIENCE):
            while not counted(gateway, "pending_output_closed_total", transport="websocket"):
                meanwhile += await reader.latencies(5)
                most = max(most, waiting(gateway))
                for flood in floods:
                    if memory.topics[flood].last_seq < 2 * ROWS:
                        memory.append(flood, BODY)
        meanwhile += await reader.latencies(MEASURED)
        assert LIMIT / 2 < most < 2 * LIMIT, "each of 40 sockets may have 1 MiB waiting"
        assert reader.seqs == list(range(1, len(reader.seqs) + 1))
        assert median(meanwhile) < 5 * median(alone) + 0.5
        ends = await asyncio.gather(*(read(raw, memory.topics[flood].last_seq) for flood, raw in unread))
        for seqs, _ in ends:
            assert seqs == list(range(1, len(seqs) + 1)), "in order and without a gap, as far as it goes"
        codes = {code for _, code in ends}
        assert {1013} <= codes <= {None, 1013}, "some made room, and resume; others got everything"
