"""The shared tier of the cache: values in memcached, over one or several servers.

It makes requests faster or has no effect. No error reaches a caller, every operation has a short timeout, and a server
that failed is ejected until a probe *in the background* reaches it again: no request waits for a dead server. Keys are
spread by rendezvous hashing, so that the loss of a server moves only its own keys.

Memcached knows no passwords: whoever reaches it can write. So every value is sealed (:mod:`.sealing`), without
exception, and one that does not open counts as missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import math
import ssl
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiomcache
from aiomcache.exceptions import ClientException
from aiomcache.pool import Connection, MemcachePool

from notifyx_common.background import Background, Tasks
from notifyx_common.backoff import Backoff
from notifyx_common.caching.sealing import Entry, Seal
from notifyx_common.clock import Clock
from notifyx_common.host_port import host_port
from notifyx_common.logs import get_logger
from notifyx_common.running_timeout import RunningTimeout
from notifyx_common.security_log import SecurityLog
from notifyx_common.settings import SettingsError

log = get_logger(__name__)

T = TypeVar("T")

OPERATION_TIMEOUT = 0.05
"""Timeout of one operation, in seconds in which the event loop ran. After it the caller continues without the value,
and the server is ejected."""

PROBE_TIMEOUT = 1.0
"""Timeout of a probe, in seconds; no request waits for it."""

PROBE_BACKOFF = Backoff(0.2, 5.0, jitter=(0.7, 1.3))
"""Pauses between two probes of a server that does not answer."""

MAX_TTL = 30 * 86400
"""Seconds; memcached interprets a larger number as a Unix time."""

MAX_VALUE_BYTES = 512 << 10
"""Bytes; a larger value is not stored (memcached itself rejects 1 MiB)."""

MAX_CONNECTIONS = 4

PREFIX = b"sealed:"
"""Of every key. Older versions, which may run meanwhile, use none: neither reads what the other wrote."""

RETRY_PAUSE = Backoff(0.001, 0.02, jitter=(0.0, 1.0))
"""Pauses of an update between its attempts, while others change the same key."""

_FAILURES = (OSError, EOFError, ClientException, ValueError, AssertionError)


# Both use what is private in aiomcache; test_memcached_loss.py and test_memcached_tls.py fail if it is not called.


class _Pool(MemcachePool):
    def _do_close(self, conn: Connection) -> None:
        super()._do_close(conn)
        conn.writer.transport.abort()  # a lost server would not answer the closing handshake of TLS for half a minute


class _Client(aiomcache.Client):
    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        arguments = {} if tls is None else {"ssl": tls}
        self._pool = _Pool(host, port, minsize=1, maxsize=MAX_CONNECTIONS, conn_args=arguments)

    async def _execute_simple_command(self, conn: Any, raw_command: bytes) -> bytes:
        # At the end of the stream, aiomcache's version reads again forever without yielding: a memcached that dies
        # during a `set` would block the event loop.
        conn.writer.write(raw_command)
        await conn.writer.drain()
        line: bytes = await conn.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("memcached closed the connection")
        return line[:-2]


def parse_servers(value: str) -> list[tuple[str, int]]:
    """Parse ``host:port`` separated by commas, with IPv6 hosts in brackets; the default port is 11211.

    Raises :class:`SettingsError` that names the variable.
    """
    servers: list[tuple[str, int]] = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        bracketed = part.startswith("[")
        host, closed, port = part[1:].partition("]") if bracketed else part.partition(":")
        number = port.removeprefix(":") if bracketed else port
        if (
            not host
            or (bracketed and not closed)
            or (number and (not number.isdecimal() or not 0 < int(number) < 65536))
        ):
            raise SettingsError(f"Wrong settings: NOTIFYX_MEMCACHED: '{part}' is not host:port.")
        servers.append((host, int(number) if number else 11211))
    return servers


class _OperationFailed:
    """The result of a failed operation; not an exception, since no caller may be left to await it."""


class _MemcachedServer:
    """One server: its connections while it is available, a probe in the background while it is not."""

    def __init__(
        self, host: str, port: int, timeout: float, background: Background, tls: ssl.SSLContext | None
    ) -> None:
        self.name = host_port(host, port)
        self._address = (host, port)
        self._tls = tls
        self._timeout = timeout
        self._background = background
        self._client: _Client | None = None
        self._operations = Tasks(background)
        self._dropped: tuple[_Client, Tasks] | None = None
        self._lost = asyncio.Event()
        self._lost.set()

    @property
    def available(self) -> bool:
        return self._client is not None

    async def execute(self, operation: Callable[[_Client], Awaitable[T]]) -> T | None:
        """Return the result of the operation. Raises :class:`ConnectionError` when it failed, and ejects the server."""
        client = self._client
        if client is None:
            raise ConnectionError(self.name)
        # The operation runs in a task of its own: a cancelled caller must not leave half an answer on a
        # connection that the next caller uses.
        task = self._operations.shared("memcached operation", self._bounded(client, operation))
        await asyncio.wait([task])
        if task.cancelled() or isinstance(result := task.result(), _OperationFailed):
            raise ConnectionError(self.name)
        return result

    async def _bounded(self, client: _Client, operation: Callable[[_Client], Awaitable[T]]) -> T | _OperationFailed:
        try:
            async with RunningTimeout(self._timeout):
                return await operation(client)
        except (*_FAILURES, TimeoutError) as error:
            self._fail(client, type(error).__name__)
            return _OperationFailed()
        except asyncio.CancelledError:  # only _discard cancels, when the server is dropped
            return _OperationFailed()

    def _fail(self, client: _Client, reason: str) -> None:
        """Drop ``client`` with all its connections (one may hold half an answer), and start to probe."""
        if client is not self._client:
            return
        log.warning("memcached_server_ejected", server=self.name, reason=reason)
        self._client, self._dropped = None, (client, self._operations)
        self._lost.set()

    async def probe_forever(self) -> None:
        """Probe the server each time it is lost, until it answers; runs until cancelled."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            await self._discard()
            client = await self._probe_until_reachable()
            self._operations = Tasks(self._background)
            self._client = client
            log.info("memcached_server_available", server=self.name)

    async def close(self) -> None:
        """End all operations, and close the connections."""
        await self._discard()
        if self._client is not None:
            self._dropped, self._client = (self._client, self._operations), None
            await self._discard()

    async def _discard(self) -> None:
        """Cancel the operations of the dropped client, so that it gets its connections back, and close them."""
        if self._dropped is None:
            return
        client, operations = self._dropped
        try:
            await operations.close()
        finally:
            await client.close()
        self._dropped = None

    async def _probe_until_reachable(self) -> _Client:
        failures, reason = 0, ""
        while True:
            client = _Client(*self._address, self._tls)
            try:
                async with RunningTimeout(PROBE_TIMEOUT):
                    await client.version()
            except (*_FAILURES, TimeoutError) as error:
                if (found := str(error) or type(error).__name__) != reason:
                    reason = found
                    log.warning("memcached_server_unreachable", server=self.name, reason=reason)
                await client.close()
            except asyncio.CancelledError:
                await client.close()
                raise
            else:
                return client
            failures += 1
            await asyncio.sleep(PROBE_BACKOFF.after(failures))


class Memcached:
    """Stores bytes by key on several servers. Errors are never raised: they count as a miss."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        *,
        key: bytes,
        clock: Clock,
        security: SecurityLog,
        background: Background,
        timeout: float = OPERATION_TIMEOUT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``key`` seals the values; only processes with the same one read them. ``tls``: for each connection."""
        self.timeout = timeout
        """Timeout of one operation, in seconds."""
        self._seal = Seal(key)
        self._clock = clock
        self._security = security
        self._servers = [_MemcachedServer(host, port, timeout, background, tls) for host, port in servers]
        self._tasks = background.tasks()

    async def __aenter__(self) -> Self:
        self._tasks.endless("memcached", self._probe_servers())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()
        await asyncio.gather(*(server.close() for server in self._servers))

    async def _probe_servers(self) -> None:
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(server.probe_forever(), name=f"memcached {server.name}")

    @property
    def available(self) -> list[str]:
        """The servers that are not ejected."""
        return [server.name for server in self._servers if server.available]

    @property
    def names(self) -> list[str]:
        """All servers."""
        return [server.name for server in self._servers]

    async def ping(self) -> None:
        """Make every available server answer, so that one that does not is ejected though nobody needs it now."""
        available = [server for server in self._servers if server.available]
        await asyncio.gather(
            *(server.execute(lambda client: client.version()) for server in available), return_exceptions=True
        )

    def server_of(self, key: bytes) -> str:
        """Return the name of the server that stores ``key``."""
        return self._pick(key).name

    async def get(self, key: bytes) -> tuple[Entry | None, bool]:
        """Return the value, or ``None``; and whether the server answered."""
        name = PREFIX + key
        try:
            stored = await self._pick(key).execute(lambda client: client.get(name))
        except ConnectionError:
            return None, False
        return self._open(name, stored), True

    async def set(self, key: bytes, content: bytes, ttl: float) -> bool:
        """Store ``content`` for ``ttl`` seconds; return whether it was stored."""
        if len(content) > MAX_VALUE_BYTES:
            return False
        name, ttl = PREFIX + key, min(ttl, MAX_TTL)
        value = self._seal.seal(name, content, self._now() + ttl)
        try:
            return bool(await self._pick(key).execute(lambda client: client.set(name, value, _whole_seconds(ttl))))
        except ConnectionError:
            return False

    async def delete(self, key: bytes) -> bool:
        """Delete ``key``; return whether its server confirmed."""
        name = PREFIX + key
        try:
            await self._pick(key).execute(lambda client: client.delete(name))
        except ConnectionError:
            return False
        return True

    async def update(self, key: bytes, change: Callable[[bytes | None], tuple[bytes, float] | None]) -> bool:
        """Replace the value of ``key`` by the result of ``change``, atomically; return whether it succeeded.

        ``change`` gets the value, or ``None``, and returns the new one with its ttl in seconds, or ``None`` to leave
        it unchanged; it is called again each time another writer was faster, until the timeout. ``False`` means that
        no change was confirmed.
        """
        server, name = self._pick(key), PREFIX + key
        try:
            async with RunningTimeout(self.timeout):
                for attempt in itertools.count(1):
                    found = await server.execute(lambda client: client.gets(name))
                    stored, token = found if found is not None else (None, None)
                    entry = self._open(name, stored)
                    wanted = change(entry.content if entry is not None else None)
                    if wanted is None or await server.execute(self._write(name, wanted, token)):
                        return True
                    await asyncio.sleep(RETRY_PAUSE.after(attempt))
        except (ConnectionError, TimeoutError):
            pass
        return False

    def _open(self, name: bytes, stored: bytes | None) -> Entry | None:
        """Return the value that is stored under ``name``, if it was sealed for it and has not expired."""
        if stored is None:
            return None
        entry = self._seal.open(name, stored)
        if entry is None:
            self._security.record("cache_value_check", "failed", subject=name.decode("ascii", "replace"))
        return entry if entry is not None and entry.expires_at > self._now() else None

    def _write(
        self, name: bytes, wanted: tuple[bytes, float], token: int | None
    ) -> Callable[[_Client], Awaitable[bool]]:
        """Return an operation that stores unless ``name`` changed since ``token`` (``None``: there was no value)."""
        content, ttl = wanted[0], min(wanted[1], MAX_TTL)
        value, seconds = self._seal.seal(name, content, self._now() + ttl), _whole_seconds(ttl)
        if token is None:
            return lambda client: client.add(name, value, seconds)
        return lambda client: client.cas(name, value, token, seconds)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _pick(self, key: bytes) -> _MemcachedServer:
        return max(self._servers, key=lambda server: hashlib.blake2b(key, key=server.name.encode()[:64]).digest())


def _whole_seconds(ttl: float) -> int:
    return max(1, math.ceil(ttl))
