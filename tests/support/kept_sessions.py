"""Sessions of PostgreSQL that go on when asyncpg closes a connection, for the next one that is made like it.

A new session costs the server 2.5 ms, and what its first statements have to read about tables as much again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
from asyncpg import connect_utils
from asyncpg.protocol import Protocol

from notifyx_local.postgres import Cluster

MOST = 40
"""Sessions that are kept at a time."""

TERMINATE = b"X\0\0\0\4"
LEAVE = ("DISCARD ALL", "SET application_name = 'nobody'")
"""What makes a session as it was at its beginning, and then nobody's: not one of a service that runs."""

COME = ("RESET application_name",)
AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0"
KEY = ord("K")
READY = ord("Z")
_HEAD = struct.Struct("!BI")

_CONNECT = "__connect_addr"
"""asyncpg's function that makes one connection."""

Like = tuple[Any, ...]
"""The database, the user, the password and the options of those who may have each other's sessions."""


@dataclass
class _Session:
    """A session. ``socket``: while nobody uses it. ``greeting``: what the server said when it began."""

    like: Like
    socket: socket.socket | None = None
    greeting: bytes = b""

    @property
    def pid(self) -> int:
        """The id of the process that serves it."""
        return next(int.from_bytes(body[:4], "big") for kind, body in _messages(self.greeting) if kind == KEY)


class _Line(asyncio.Protocol):
    """What asyncpg's protocol takes for its transport, until it is in, and when it leaves."""

    def __init__(self, protocol: Protocol, connected: asyncio.Future[Any], session: _Session) -> None:
        self.session = session
        self._protocol = protocol
        self._connected = connected
        self._transport: Any = None
        self._received = b""
        self.write: Callable[[bytes], object] = _swallow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if not self.session.greeting:
            self.write = transport.write
        self._protocol.connection_made(self)  # which says who it is: a session that goes on knows
        if self.session.greeting:
            self._join()
            asyncio.get_running_loop().call_soon(self._protocol.data_received, self.session.greeting)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._protocol.data_received(data)
        if self._connected.done():
            _, authenticated, greeting = self._received.partition(AUTHENTICATED)
            self.session.greeting = authenticated + greeting
            self._join()

    def connection_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)

    def leave(self) -> None:
        """Keep the session when the protocol ends it."""
        self.write = self._last_words

    def _join(self) -> None:
        self.write = self._transport.write
        self._transport.set_protocol(self._protocol)

    def _last_words(self, data: bytes) -> None:
        transport = self._transport
        if bytes(data) != TERMINATE or self._protocol.is_in_transaction() or transport.get_write_buffer_size():
            transport.write(data)
            return
        kept = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        kept.setblocking(False)
        self.session.socket = kept
        transport.abort()


class KeptSessions:
    """Sessions of one server, of this process and thread, with the databases that :meth:`keep_those_of` names."""

    def __init__(self, cluster: Cluster) -> None:
        self._address = ("127.0.0.1", cluster.port)
        self._owner = (os.getpid(), threading.get_ident())
        self._databases: set[str] = set()
        self._free: list[_Session] = []
        self._connect = getattr(connect_utils, _CONNECT)

    def keep_those_of(self, database: str) -> None:
        """Keep sessions with a database from now on."""
        self._databases.add(database)

    def pids(self, database: str) -> list[int]:
        """Return the processes that serve the kept sessions with a database."""
        return [session.pid for session in self._free if session.like[0] == database]

    def forget(self, database: str | None = None) -> None:
        """End the kept sessions, with one database or all."""
        for session in list(self._free):
            if database is None or session.like[0] == database:
                self._free.remove(session)
                self._end(session)

    async def connect(
        self, params: Any, retry: bool, addr: Any, loop: Any, config: Any, of: Any, record_class: Any, given: Any
    ) -> asyncpg.Connection:
        """Connect as asyncpg's own function does, by a kept session if there is one."""
        here = self._owner == (os.getpid(), threading.get_ident())
        if not here or addr != self._address or params.ssl or params.database not in self._databases:
            made: asyncpg.Connection = await self._connect(params, retry, addr, loop, config, of, record_class, given)
            return made
        options = tuple(sorted((params.server_settings or {}).items()))
        session = await self._take((params.database, params.user, params.password, options))
        connected = loop.create_future()
        protocol = Protocol(addr, connected, params, record_class, loop)
        line = _Line(protocol, connected, session)
        where, taken = (addr, None) if session.socket is None else ((), session.socket)
        session.socket = None
        await loop.create_connection(lambda: line, *where, sock=taken)
        try:
            await connected
        except BaseException:
            line.close()
            raise
        connection = of(protocol, line, loop, addr, config, given)
        protocol.set_connection(connection)
        return connection

    async def close(self, connection: asyncpg.Connection, timeout: float | None) -> None:
        """Close ``connection`` and keep its session."""
        line = connection._transport
        line.leave()
        await _CLOSE(connection, timeout=timeout)
        session: _Session = line.session
        if session.socket is None:
            return
        try:
            async with asyncio.timeout(timeout):
                clean = await _ask(session.socket, *LEAVE)
        except BaseException:
            self._end(session)
            raise
        if not clean or session.like[0] not in self._databases:
            self._end(session)
            return
        self._free.append(session)
        if len(self._free) > MOST:
            self._end(self._free.pop(0))

    async def _take(self, like: Like) -> _Session:
        while session := next((one for one in reversed(self._free) if one.like == like), None):
            self._free.remove(session)
            assert session.socket is not None
            try:
                if await _ask(session.socket, *COME):
                    return session
            except BaseException:
                self._end(session)
                raise
            self._end(session)  # the server has ended it
        return _Session(like)

    def _end(self, session: _Session) -> None:
        if session.socket is not None:
            session.socket.close()


_CLOSE = asyncpg.Connection.close


@contextlib.contextmanager
def sessions_kept(cluster: Cluster) -> Iterator[KeptSessions]:
    """Keep the sessions of a server while the block is entered."""
    kept = KeptSessions(cluster)

    async def close(connection: asyncpg.Connection, *, timeout: float | None = None) -> None:
        if isinstance(connection._transport, _Line) and not connection.is_closed():
            await kept.close(connection, timeout)
        else:
            await _CLOSE(connection, timeout=timeout)

    setattr(connect_utils, _CONNECT, kept.connect)
    asyncpg.Connection.close = close
    try:
        yield kept
    finally:
        asyncpg.Connection.close = _CLOSE
        setattr(connect_utils, _CONNECT, kept._connect)
        kept.forget()


def _swallow(_: bytes) -> None:
    """Send nothing."""


async def _ask(idle: socket.socket, *statements: str) -> bool:
    """Have statements run; return whether all were, and nothing else was said."""
    loop = asyncio.get_running_loop()
    texts = [statement.encode() + b"\0" for statement in statements]
    received = b""
    with contextlib.suppress(ConnectionError):
        await loop.sock_sendall(idle, b"".join(_HEAD.pack(ord("Q"), 4 + len(text)) + text for text in texts))
        while data := await loop.sock_recv(idle, 65_536):
            received += data
            kinds = [kind for kind, _ in _messages(received)]
            if kinds.count(READY) == len(statements):
                return all(chr(kind) in "ACNSZ" for kind in kinds)
    return False


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the messages in ``data``, which may end within one: the type and the body of each."""
    while len(data) >= _HEAD.size:
        kind, length = _HEAD.unpack_from(data)
        if len(data) <= length:
            return
        yield kind, data[_HEAD.size : length + 1]
        data = data[length + 1 :]
