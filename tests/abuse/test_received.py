"""What a connection has received is kept by nobody once it is answered, nor once it is closed: a stranger who sends and
leaves takes no memory. The cyclic collector is off meanwhile: a node's comes too late for what is sent on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import socket
import struct
import tracemalloc
from collections.abc import Iterator

import pytest

from support.http_port import BOTH_WAYS, HEAD, LIMITS, QUICK, Client, Server, on_uvloop, rest, serving
from support.measured import undisturbed
from support.patience import PATIENCE, until

pytestmark = pytest.mark.xdist_group("abuse")

CLIENTS = 8
OPEN, CLOSED = 18_000, 9_000
"""Bytes that a connection may take with its client while it is open, and leave for the collector; less than is sent."""

LARGE = b"X-A: " + b"x" * 15_000 + b"\r\n"
BODY = b"y" * 60_000
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
SENT = {
    "head-too-large": HEAD + b"X-A: " + BODY,
    "broken-head": HEAD + b"no header\r\n\r\n" + BODY,
    "no-http": b"no http\r\n\r\n" + BODY,
    "other-version": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n" + BODY,
    "broken-chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nea60\r\n" + BODY + b"\r\nno chunk\r\n\r\n",
    "other-coding": POST + b"Transfer-Encoding: gzip\r\n\r\n" + BODY,
    "no-such-path": b"GET /nowhere HTTP/1.1\r\nHost: x\r\n" + LARGE + b"\r\n",
    "refused-before-its-body": b"DELETE / HTTP/1.1\r\nHost: x\r\n" + LARGE + b"Content-Length: 100000\r\n\r\n" + BODY,
    "failed": b"GET /fails HTTP/1.1\r\nHost: x\r\n" + LARGE + b"\r\n",
    "answered": POST + b"Content-Length: 60000\r\n\r\n" + BODY,
}


class Kept:
    """The bytes for each client that were taken since the block was entered, and are not free."""

    def __init__(self) -> None:
        self._before = tracemalloc.get_traced_memory()[0]

    def each(self) -> int:
        return (tracemalloc.get_traced_memory()[0] - self._before) // CLIENTS


@contextlib.contextmanager
def kept() -> Iterator[Kept]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        with undisturbed():
            yield Kept()
    finally:
        tracemalloc.stop()
        gc.enable()


async def answered(server: Server, sent: bytes) -> Client:
    """A connection on which ``sent`` was answered."""
    client = await server.open(sent)
    async with asyncio.timeout(PATIENCE):
        await client[0].readuntil(b"\r\n\r\n")
    return client


async def nobody(server: Server) -> None:
    """Wait until all connections are closed, and their transports free."""
    await until(lambda: server.connections == 0, "no connection")
    await asyncio.sleep(0)


def reset(client: Client) -> None:
    """Close without the usual farewell: the server's reads fail."""
    sock: socket.socket = client[1].get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client[1].transport.abort()


def leave(client: Client) -> None:
    client[1].close()


@BOTH_WAYS
@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_nothing_is_kept_of_what_is_answered(sent: bytes, directly: bool) -> None:
    async def measure() -> None:
        async with serving(dataclasses.replace(LIMITS, close_timeout=10 * PATIENCE), directly=directly) as server:
            leave(await answered(server, sent))
            await nobody(server)
            with kept() as memory:
                clients = [await answered(server, sent) for _ in range(CLIENTS)]
                await until(lambda: memory.each() < OPEN, f"less than {OPEN} bytes, both ends")
                while clients:
                    leave(clients.pop())
                    reset(clients.pop())
                await nobody(server)
                await until(lambda: memory.each() < CLOSED, f"less than {CLOSED} bytes")

    on_uvloop(measure())


@BOTH_WAYS
@pytest.mark.parametrize("sent", [HEAD + LARGE, POST + b"Content-Length: 100000\r\n\r\n" + BODY], ids=["head", "body"])
def test_nothing_is_kept_of_what_never_ended(sent: bytes, directly: bool) -> None:
    async def send(server: Server) -> None:
        client = await server.open(sent)
        assert b" 408 " in await rest(client)
        leave(client)

    async def measure() -> None:
        async with serving(dataclasses.replace(QUICK, close_timeout=0.1), directly=directly) as server:
            await send(server)
            with kept() as memory:
                await asyncio.gather(*(send(server) for _ in range(CLIENTS)))
                await nobody(server)
                await until(lambda: memory.each() < CLOSED, f"less than {CLOSED} bytes")

    on_uvloop(measure())


@BOTH_WAYS
def test_nothing_is_kept_of_a_client_that_is_lost(directly: bool) -> None:
    async def measure() -> None:
        async with serving(directly=directly) as server:
            reset(await answered(server, HEAD + b"\r\n"))
            await nobody(server)
            with kept() as memory:
                clients = [await answered(server, HEAD + b"\r\n" + HEAD + LARGE) for _ in range(CLIENTS)]
                await until(lambda: memory.each() > len(LARGE), "the next head has begun")
                while clients:
                    reset(clients.pop())
                await nobody(server)
                await until(lambda: memory.each() < CLOSED, f"less than {CLOSED} bytes")

    on_uvloop(measure())
