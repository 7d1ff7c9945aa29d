"""A service's database: entered at start, then one pool for models and for hand-written SQL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import asyncpg
from quart import Quart
from tortoise.context import TortoiseContext
from tortoise.transactions import in_transaction

from notifyx_common.backoff import between
from notifyx_common.calls.silence import TICK, Silence
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.database.clock import READINGS, DatabaseClock
from notifyx_common.database.config import CONNECTION, DatabaseConfig, tortoise_config
from notifyx_common.database.engine import Client, Pool
from notifyx_common.database.loss import LOST, as_unavailable, unavailable_when_lost
from notifyx_common.database.migrations import is_migrated, migrate
from notifyx_common.database.waiting import wait_for_database
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import PoolUsage
from notifyx_common.serving.current import AnyRequest
from notifyx_common.serving.direct import answer_errors, before_each
from notifyx_common.serving.replies import Reply, problem_reply

log = get_logger(__name__)


class Database:
    """One service's database, migrated and connected while it is entered."""

    def __init__(self, config: DatabaseConfig, clock: Clock | None = None) -> None:
        """``clock`` is the node's, of which the monotonic time is used."""
        self.config = config
        self.clock = DatabaseClock(clock or SystemClock())
        self._context: TortoiseContext | None = None
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        """Wait for the database, migrate it and connect.

        Raises :class:`DatabaseUnreachable` after ``start_deadline`` seconds.
        """
        # At DEBUG Tortoise logs every query with its values, and the URL: secrets must not get into our logs.
        logging.getLogger("tortoise").setLevel(logging.INFO)
        until = time.monotonic() + self.config.start_deadline
        while True:
            first = await wait_for_database(self.config.url, until - time.monotonic(), self.config.connect_timeout)
            try:
                await self._migrate(first)
                await self._open()
            except Unavailable as error:
                # After one connection the next may still fail: DNS and routes of a new pod are unstable at first.
                if time.monotonic() >= until:
                    raise
                log.warning("database_connection_lost", reason=error.reason)
                await asyncio.sleep(between(0.2, 0.5))
            else:
                return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _migrate(self, connection: asyncpg.Connection) -> None:
        """Apply missing migrations, and close ``connection``. Raises :class:`Unavailable`."""
        with unavailable_when_lost():
            try:
                async with asyncio.timeout(self.config.command_timeout):
                    migrated = await is_migrated(connection, self.config)
            finally:
                await connection.close(timeout=self.config.connect_timeout)
            if not migrated:
                async with asyncio.timeout(self.config.migrate_deadline):
                    await migrate(self.config)

    async def _open(self) -> None:
        """Connect. Raises :class:`Unavailable`; nothing is left open then."""
        try:
            with unavailable_when_lost():
                self._context = TortoiseContext()
                self.activate()
                await self._context.init(config=tortoise_config(self.config))
                async with in_transaction(CONNECTION):
                    pass  # makes the pool
                client = self._context.connections.get(CONNECTION)
                assert isinstance(client, Client)
                self._client = client
            await self.measure_clock()
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        if self._context is not None:
            await self._context.close_connections()
            self._context = self._client = None

    @property
    def pool(self) -> Pool:
        """The pool, for hand-written SQL; models use the same one."""
        assert self._client is not None, "the database has not been entered"
        assert self._client.pool is not None
        return self._client.pool

    async def measure_clock(self) -> None:
        """Bring :attr:`clock` up to date; call it every :data:`MEASURE_INTERVAL`. Raises :class:`Unavailable`."""
        with unavailable_when_lost():
            async with self.pool.acquire() as connection:
                for _ in range(READINGS):
                    before = self.clock.monotonic()
                    answer = await connection.fetchval("SELECT clock_timestamp()")
                    self.clock.measure(before, answer, self.clock.monotonic())

    def usage(self) -> PoolUsage:
        """Return how many connections are in use."""
        limit = self.config.pool_max
        if self._client is None:
            return PoolUsage(0, limit)
        return PoolUsage(self.pool.get_size() - self.pool.get_idle_size(), limit, self.pool.waiting)

    def activate(self) -> None:
        """Make models in the running task (and in tasks that it starts) use this database.

        Tortoise finds its connections in a context variable, which is not set in tasks that were not started by the
        one that entered this object, such as a server's request.
        """
        assert self._context is not None, "the database has not been entered"
        # Entering is the public way to make it current. It need not be left: the variable ends with the task.
        self._context.__enter__()

    @contextlib.asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Run the block on this database. Raises :class:`Unavailable` while the database is away."""
        self.activate()
        with unavailable_when_lost():
            yield

    async def check(self) -> None:
        """Check readiness with one round trip. Raises :class:`Unavailable`."""
        limit = self.config.check_timeout
        with unavailable_when_lost():
            async with _running(limit), self.pool.acquire() as connection:
                try:
                    await connection.fetchval("SELECT 1")
                except BaseException:
                    # Giving it back would wait as long again, for the cancellation of the statement.
                    connection.terminate()
                    raise

    def attach(self, app: Quart) -> None:
        """Make every request of ``app`` use this database, and answer 503 while it is away."""

        def use(incoming: AnyRequest | None = None) -> None:
            if self._context is not None:
                self.activate()

        async def use_in_socket() -> None:
            use()

        before_each(app, use)
        app.before_websocket(use_in_socket)

        def away(error: Exception) -> Reply:
            unavailable = as_unavailable(error)
            if unavailable is None:
                raise error
            log.warning("request_failed", code=unavailable.code, cause=type(error).__name__)
            return problem_reply(unavailable)

        for kind in LOST:
            answer_errors(app, kind, away)


@contextlib.asynccontextmanager
async def _running(seconds: float) -> AsyncIterator[None]:
    """Raise :class:`TimeoutError` after ``seconds``, of which almost none count in which this process did not run."""
    loop, owed = asyncio.get_running_loop(), Silence()
    timer: asyncio.TimerHandle | None = None

    def observe() -> None:
        nonlocal timer
        owed.observe(loop.time())
        if owed.seconds >= seconds:
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(TICK, observe)

    async with asyncio.timeout(None) as limit:
        observe()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
