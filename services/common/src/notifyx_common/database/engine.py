"""Tortoise's PostgreSQL engine on a pool of ours: connections are waited for briefly, and who waits is counted.

Only public parts of Tortoise and asyncpg are used: ``create_pool`` is Tortoise's own place for another pool, and a
pool's ``acquire`` returns an object that is awaited or entered.
"""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient


class Acquisition:
    """A connection on its way from the pool: awaited, or entered and given back on leaving."""

    def __init__(self, pool: Pool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._connection: asyncpg.Connection | None = None

    def __await__(self) -> Generator[Any, None, asyncpg.Connection]:
        return self._pool.connection(self._timeout).__await__()

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await self
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        await self._pool.release(connection)


class Pool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg is not typed
    """A pool whose connections are waited for no longer than the configured time, and that counts who waits."""

    acquire_timeout: float
    waiting = 0

    def acquire(self, *, timeout: float | None = None) -> Acquisition:
        """Return what to await or enter for a connection; ``timeout`` is in seconds, the configured one unless given.

        Awaiting it raises :class:`TimeoutError`.
        """
        return Acquisition(self, self.acquire_timeout if timeout is None else timeout)

    async def connection(self, timeout: float) -> asyncpg.Connection:
        """Take a connection, and count the wait for it. Raises :class:`TimeoutError` after ``timeout`` seconds."""
        self.waiting += 1
        try:
            return await super().acquire(timeout=timeout)
        finally:
            self.waiting -= 1


class Client(AsyncpgDBClient):
    """Tortoise's client on our pool. asyncpg reads the URL itself, so every option it knows can be in it."""

    pool: Pool | None = None
    """The pool; made when the first connection is needed."""

    async def create_pool(self, **kwargs: Any) -> Pool:
        """Make the pool, and connect it. Tortoise calls this once, and closes it."""
        dsn, acquire_timeout = kwargs.pop("dsn"), kwargs.pop("acquire_timeout")
        for name in ("host", "port", "user", "password", "database"):
            kwargs.pop(name)
        pool = Pool(
            dsn,
            max_queries=50000,
            max_inactive_connection_lifetime=300.0,
            record_class=asyncpg.Record,
            reset=_keep,
            **kwargs,
        )
        pool.acquire_timeout = acquire_timeout
        await pool
        self.pool = pool
        return pool


async def _keep(connection: asyncpg.Connection) -> None:
    """Give a connection back as it is.

    asyncpg ends an open transaction by itself. Its default then also asks the server to forget session state, one
    more round trip for each use of a connection; we keep none there (only ``SET LOCAL`` and transaction locks).
    """


client_class = Client
"""What Tortoise looks for in an ``engine`` module, which this one is."""
