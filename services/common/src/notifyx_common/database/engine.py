"""Tortoise's PostgreSQL engine on a pool with a timeout for acquiring connections and a count of waiting callers.

Only public parts of Tortoise and asyncpg are used, but for what :class:`Connection` says: ``create_pool`` is Tortoise's
hook for another pool, and a pool's ``acquire`` returns an object that is awaited or entered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from types import TracebackType
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient

from notifyx_common.database.held import Announce, HoldingConnection


class Connection(HoldingConnection):
    """A connection that is closed, not cancelled, where what is given up may be a commit.

    With synchronous replication a commit waits until a standby has it. PostgreSQL answers a request to cancel that by
    ending the wait: all see what was committed, and a failover loses it. Without the request the wait goes on.
    """

    given_up = False
    """Whether it is about to be closed for that."""

    _commits = False

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> str:
        """Run ``query``, as asyncpg does, which begins and ends transactions by it."""
        self._commits = query.startswith("COMMIT")
        tag: str = await super().execute(query, *arguments, timeout=timeout)
        return tag

    def _cancel_current_command(self, waiter: asyncio.Future[None], *others: Any) -> None:
        # asyncpg has no public way to give something up without a request to cancel it.
        if self.is_in_transaction() and not self._commits:
            super()._cancel_current_command(waiter, *others)
        else:
            self.given_up = True
            asyncio.get_running_loop().call_soon(self.terminate)


class Acquisition:
    """A request for a connection: awaited, or entered and released on exit."""

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
    """A pool that waits for a connection no longer than the configured time, and counts the waiting callers."""

    acquire_timeout: float
    waiting = 0

    def acquire(self, *, timeout: float | None = None) -> Acquisition:
        """Return an object to await or enter for a connection; ``timeout`` (in seconds) overrides the configured one.

        Awaiting it raises :class:`TimeoutError`.
        """
        return Acquisition(self, self.acquire_timeout if timeout is None else timeout)

    async def connection(self, timeout: float) -> asyncpg.Connection:
        """Acquire a connection, and count the wait for it. Raises :class:`TimeoutError` after ``timeout`` seconds."""
        self.waiting += 1
        try:
            return await super().acquire(timeout=timeout)
        finally:
            self.waiting -= 1

    async def release(self, connection: asyncpg.Connection, *, timeout: float | None = None) -> None:
        """Take a connection back. The loss of one that was given up is no error: that would hide the cancellation."""
        if getattr(connection, "given_up", False):
            connection.terminate()
        await super().release(connection, timeout=timeout)


class Client(AsyncpgDBClient):
    """Tortoise's client on :class:`Pool`. asyncpg parses the URL, so the URL may hold any option of asyncpg."""

    connection_class = Connection
    pool: Pool | None = None
    """The pool; created when the first connection is needed."""

    async def create_pool(self, **kwargs: Any) -> Pool:
        """Create and connect the pool. Tortoise calls this once, and closes the pool."""
        dsn, acquire_timeout = kwargs.pop("dsn"), kwargs.pop("acquire_timeout")
        prepared: tuple[str, ...] = kwargs.pop("prepared")
        announce: Announce | None = kwargs.pop("announce")

        async def prepare(connection: Connection) -> None:
            connection.announce = announce
            for statement in prepared:
                await connection.executemany(statement, [])  # only prepares it, in the cache of statements

        for name in ("host", "port", "user", "password", "database"):
            kwargs.pop(name)
        pool = Pool(
            dsn,
            max_queries=50000,
            max_inactive_connection_lifetime=300.0,
            record_class=asyncpg.Record,
            max_cached_statement_lifetime=0,  # a statement is prepared once, not again within a transaction
            init=prepare,
            reset=skip_reset,
            **kwargs,
        )
        pool.acquire_timeout = acquire_timeout
        await pool
        self.pool = pool
        return pool


async def skip_reset(connection: asyncpg.Connection) -> None:
    """Release a connection without resetting it.

    asyncpg ends an open transaction by itself. By default it also resets the session state, one more round trip for
    each use of a connection. The services have none: they use only ``SET LOCAL`` and transaction locks.
    """


client_class = Client
"""The name that Tortoise reads from an ``engine`` module such as this one."""
