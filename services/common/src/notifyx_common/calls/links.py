"""HTTP/1.1 to a node for calls that may be repeated: the request in one write, the answer of a known length.

A call of the hot path has one form, and a general client spends more on it than the service does. Whatever has another
form, and whatever fails before there is a connection, is :class:`Unsuited`: aiohttp makes that call then, and names
what is wrong. So a request may reach the node twice, which is why only calls that may be repeated come here.

This module does not import aiohttp, which loads the system's authorities: auth and store have no other use for it.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode, urlsplit

from notifyx_common.contracts.call import Message
from notifyx_common.internal_tls import CallOptions

MAX_IDLE_SECONDS = 30.0
"""Seconds after which an idle connection is not used again: its server may be about to close it."""

MAX_HEAD = 64 << 10

MAX_LINKS = 64
"""Connections to one node; for a call beyond these, aiohttp waits for one of its own."""


class _Key(NamedTuple):
    """A node, and how its certificate is verified."""

    url: str
    ssl: ssl.SSLContext | bool
    server_hostname: str | None


class Unsuited(Exception):
    """The call is for a general client."""


class Disconnected(Exception):
    """The connection has ended before the answer: whether the call took effect is unknown."""


class Links:
    """The connections to all nodes of a service, each with one request at a time."""

    def __init__(self) -> None:
        self._idle: dict[_Key, list[_Link]] = {}
        self._open: dict[_Key, set[_Link]] = {}

    def close(self) -> None:
        """Close all connections."""
        for links in tuple(self._open.values()):
            for link in tuple(links):
                link.abort()

    async def exchange(
        self, url: str, method: str, message: Message, headers: Mapping[str, str], options: CallOptions
    ) -> tuple[int, bytes]:
        """Send a request to the node at ``url``; return the status and the content of its answer.

        Raises :class:`Unsuited`, and :class:`Disconnected` if the connection ends before the answer.
        """
        request = _encode(url, method, message, headers)
        key = _Key(url, **options)
        link = self._take(key) or await self._connect(key)
        try:
            answer = await link.exchange(request)
        except BaseException:
            link.abort()
            raise
        if link.reusable:
            self._idle.setdefault(key, []).append(link)
        else:
            link.abort()
        return answer

    def _take(self, key: _Key) -> _Link | None:
        """Return the connection that was used last, if it is fresh."""
        idle = self._idle.get(key)
        while idle:
            link = idle.pop()
            if link.is_fresh():
                return link
            link.abort()
        self._idle.pop(key, None)
        return None

    async def _connect(self, key: _Key) -> _Link:
        if len(self._open.get(key, ())) >= MAX_LINKS:
            raise Unsuited("all connections are in use")
        parts = urlsplit(key.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        tls: Any = {}
        if parts.scheme == "https":
            tls = {"ssl": key.ssl, "server_hostname": key.server_hostname or host}
        link = _Link(functools.partial(self._discard, key))
        try:
            await asyncio.get_running_loop().create_connection(lambda: link, host, port, **tls)
        except OSError as error:  # certificates that are not accepted included
            raise Unsuited(str(error)) from error
        if not link.is_closed():
            self._open.setdefault(key, set()).add(link)
        return link

    def _discard(self, key: _Key, link: _Link) -> None:
        """Drop a connection that has ended, and its node with the last one."""
        for links in (self._idle.get(key, []), self._open.get(key, set())):
            if link in links:
                links.remove(link)
        if not self._open.get(key):
            self._open.pop(key, None)
            self._idle.pop(key, None)


class _Link(asyncio.Protocol):
    """One connection."""

    def __init__(self, lost: Callable[[_Link], None]) -> None:
        """``lost`` is called when it has ended."""
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = bytearray()
        self._content_at = 0
        self._length = 0
        self._status = 0
        self._used_at = 0.0
        self.reusable = True
        """Whether the connection can be used again after the answer."""

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send ``request``; return the status and the content of the answer."""
        if self.is_closed():
            raise Disconnected
        self._waiter = self._loop.create_future()
        self._transport.write(request)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            self._used_at = self._loop.time()

    def is_fresh(self) -> bool:
        """Return whether the connection can be used now."""
        return not self.is_closed() and self._loop.time() - self._used_at < MAX_IDLE_SECONDS

    def is_closed(self) -> bool:
        """Return whether the connection has ended, or is about to."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its classes

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():  # nobody asked for it
            self.abort()
            return
        self._received += data
        if not self._content_at:
            try:
                self._read_head()
            except ValueError as error:
                waiter.set_exception(Unsuited(str(error)))
                return
        if self._content_at and len(self._received) >= self._content_at + self._length:
            end = self._content_at + self._length
            self.reusable &= len(self._received) == end
            content = bytes(memoryview(self._received)[self._content_at : end])
            self._received, self._content_at = bytearray(), 0
            waiter.set_result((self._status, content))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Disconnected())

    def _read_head(self) -> None:
        """Read the head once it is complete. Raises :class:`ValueError` for one of another form."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > MAX_HEAD:
                raise ValueError("the head is too long")
            return
        first, *lines = bytes(self._received[:end]).lower().split(b"\r\n")
        if not first.startswith(b"http/1.1 "):
            raise ValueError("another version")
        self._status = int(first[9:12])
        if self._status < 200:
            raise ValueError("not the answer yet")
        length = 0 if self._status == 204 else -1
        for line in lines:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                raise ValueError("an answer in parts")
            elif name == b"connection" and b"close" in value:
                self.reusable = False
        if length < 0:
            raise ValueError("an answer without a length")
        self._length, self._content_at = length, end + 4


def _encode(url: str, method: str, message: Message, headers: Mapping[str, str]) -> bytes:
    """Return the request. Raises :class:`Unsuited` for what has no place in a head."""
    node = urlsplit(url)
    path = node.path.rstrip("/") + message.path
    target = f"{path}?{urlencode(message.query)}" if message.query else path
    lines = [f"{method} {target} HTTP/1.1", f"Host: {node.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    body = message.body or b""
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    if not head.isascii() or head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or " " in target:
        raise Unsuited("what has no place in a head")
    return b"%b\r\n\r\n%b" % (head.encode(), body)
