"""Floods of plain HTTP requests, which need no account: others wait for a few of them, and not for the flood."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from statistics import median
from urllib.parse import urlsplit

import pytest

from support.patience import until
from support.platform import Platform

pytestmark = pytest.mark.xdist_group("abuse")

FLOOD, ASKED = 300, 15
HEAD = b"Host: localhost\r\nAccept: */*\r\n"
TOPICS = b"GET /api/v1/topics HTTP/1.1\r\n" + HEAD
CHUNKED = b"POST /api/v1/nowhere HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "unauthorized": TOPICS + b"\r\n",
    "not-found": b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"\r\n",
    "one-byte-chunks": CHUNKED + b"1\r\na\r\n" * 900 + b"0\r\n\r\n",
}
"""What each connection of a flood sends again and again."""

OTHERS = {
    "another-address": ("127.0.0.2", b""),
    "another-client-of-a-proxy": ("127.0.0.1", b"X-Forwarded-For: 203.0.113.7\r\n"),
}
"""From where somebody else asks, and with which header. A proxy on this machine is believed."""


class Client:
    """A connection to the gateway that is used for one request after the other."""

    def __init__(self, platform: Platform) -> None:
        self._url = urlsplit(platform.gateway)

    async def open(self, source: str = "127.0.0.1") -> None:
        """Connect from the address ``source``."""
        self.reader, self.writer = await asyncio.open_connection(
            self._url.hostname, self._url.port, local_addr=(source, 0)
        )

    async def ask(self, request: bytes) -> bytes:
        """Return the head of the answer."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        _, _, after = head.lower().partition(b"\r\ncontent-length:")
        await self.reader.readexactly(int(after.partition(b"\r\n")[0]))
        return head


class Flood:
    """Connections that send ``request`` as soon as the last one is answered."""

    def __init__(self, platform: Platform, request: bytes) -> None:
        self.answered = 0
        self._clients = [Client(platform) for _ in range(FLOOD)]
        self._request = request

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send until the block is left."""
        tasks = [asyncio.create_task(self._send(client)) for client in self._clients]
        try:
            await until(lambda: self.answered >= FLOOD, "the flood is under way")
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, client: Client) -> None:
        while True:
            await client.open()
            try:
                while b"\r\nconnection: close" not in (await client.ask(self._request)).lower():
                    self.answered += 1
            finally:
                client.writer.transport.abort()


@pytest.mark.parametrize(
    ("sent", "other"),
    [
        ("unauthorized", "another-address"),
        ("not-found", "another-client-of-a-proxy"),
        ("one-byte-chunks", "another-address"),
    ],
)
async def test_who_sends_one_request_waits_for_a_few_of_a_flood(platform: Platform, sent: str, other: str) -> None:
    client, (source, header) = Client(platform), OTHERS[other]
    flood = Flood(platform, FLOODS[sent])
    meanwhile: list[int] = []
    async with flood.running():
        await client.open(source)
        try:
            for _ in range(ASKED):
                before = flood.answered
                assert b" 401 " in await client.ask(TOPICS + header + b"\r\n")
                meanwhile.append(flood.answered - before)
        finally:
            client.writer.transport.abort()
    # Without turns it is nearly each connection's: all have an answer in the same rounds of the event loop.
    assert median(meanwhile) < FLOOD / 5, meanwhile
