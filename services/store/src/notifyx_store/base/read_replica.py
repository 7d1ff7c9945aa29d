"""Reads pages from a standby of PostgreSQL where that shows what the primary would (:mod:`.replica_rules`).

No state of a reader is kept: each page is compared with the primary's position of that moment, by one query that all
pages share which are requested meanwhile. Where the standby cannot be used, the primary reads the page. After such a
failure pages no longer try, until a check in the background finds the standby usable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar, get_args

import asyncpg

from notifyx_common.background import Background, every
from notifyx_common.clock import Clock
from notifyx_common.database import DRIVER_ERRORS, Database, standby_pool, unavailable_when_lost
from notifyx_common.database.engine import Pool
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.running_timeout import RunningTimeout
from notifyx_store.base.primary_position import PrimaryPosition
from notifyx_store.base.replica_rules import Lag, Position, Reason, Standby, unseen, unusable
from notifyx_store.base.replica_settings import check_replica
from notifyx_store.base.settings import StoreSettings

log = get_logger(__name__)

T = TypeVar("T")

Read = Callable[[asyncpg.Connection], Awaitable[T]]
"""Reads a page, and changes nothing; it may be called a second time, on another server."""

CONNECT_TIMEOUT = 1.0
"""Timeout of a new connection."""

ANSWER_TIMEOUT = 0.2
"""Time beyond ``read_replica_wait`` in which a standby has to say where it is."""

CHECK_INTERVAL = 1.0
RETRY_INTERVAL = 0.2
"""Seconds between two checks of a replica that is used, and of one that is not."""

REPORTED_AFTER = 5.0
"""Seconds for which a replica is not used before that is reported: under load it is late now and then."""

_SHORTEST_PAUSE = 0.0005

_STANDBY = """
SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END AS lsn,
       (SELECT id FROM primary_terms) AS term
"""

_COMMITTED = """
coalesce((SELECT bool_or(CASE WHEN one < below THEN pg_xact_status(one::text::xid8) = 'committed' END)
          FROM unnest($1::bigint[]) AS one), false)
"""

# Transactions whose commit the standby has replayed are below its snapshot's end.
_SHOWN = f"""
SELECT pg_is_in_recovery() AS standby, below, {_COMMITTED} AS committed
FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS below) AS snapshot
"""  # noqa: S608 - put together from constants

_SENTENCES: dict[Reason, str] = {
    "away": "It cannot be reached.",
    "behind": "It is behind the primary.",
    "failover": "It does not follow the primary, or it has been promoted.",
    "unconfirmed": "It has commits that the primary waits to have confirmed.",
    "refused": "It refuses what is read.",
}


class _Unusable(Exception):
    """The replica did not read a page that may be shown."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class ReadReplica:
    """The replica of ``settings``, beside the primary that ``primary`` is connected to."""

    def __init__(self, settings: StoreSettings, primary: Database, clock: Clock, metrics: Metrics) -> None:
        """Raise :class:`SettingsError` where the URL is none."""
        check_replica(settings)
        self._settings = settings
        self._database = primary
        self._primary = PrimaryPosition(primary)
        self._now = clock.monotonic
        self._pool: Pool | None = None
        self._lag = Lag()
        self._reason: Reason | None = "away"
        """Why it is not used; ``None``: it is."""
        self._since = self._now()
        self._check_now = asyncio.Event()
        self._trouble = ""
        reads = metrics.counter("notifyx_page_reads_total")
        fallbacks = metrics.counter("notifyx_replica_fallbacks_total")
        self._from_replica, self._from_primary = reads.labels("replica"), reads.labels("primary")
        self._fallbacks = {reason: fallbacks.labels(reason) for reason in get_args(Reason)}
        self._used = metrics.gauge("notifyx_replica_used")
        self._lag_seconds = metrics.gauge("notifyx_replica_lag_seconds")

    @asynccontextmanager
    async def running(self, background: Background) -> AsyncIterator[None]:
        """Connect, and check the replica, while the block is entered; the primary's database is already."""
        size = self._settings.concurrent_pages + self._settings.concurrent_searches + 1
        url = self._settings.read_replica_url
        async with standby_pool(self._database.config, url, size, CONNECT_TIMEOUT) as pool:
            self._pool = pool
            self._since = self._now()
            async with background.tasks() as tasks:
                check = every(RETRY_INTERVAL, self._check, away=(Unavailable,), wake=self._check_now)
                tasks.endless("read replica", check)
                yield

    def why_unused(self) -> str:
        """Return why it has not been used for a while, as a sentence; empty where it is."""
        return self._trouble

    async def read(self, read: Read[T], otherwise: Callable[[], Awaitable[T]], within: float) -> T:
        """Return what ``read`` returns on the replica, or ``otherwise`` on the primary.

        ``within``: seconds after which the replica is given up that has not answered. Raises what the one that counts
        raises, and the driver's errors where the primary does not say where it is.
        """
        if (reason := self._reason) is None:
            try:
                page = await self._attempt(read, within)
            except _Unusable as error:
                reason = error.reason
                if reason != "refused":
                    self._stop_using(error)
            else:
                self._from_replica.inc()
                return page()
        self._fallbacks[reason].inc()
        self._from_primary.inc()
        return await otherwise()

    async def _attempt(self, read: Read[T], within: float) -> Callable[[], T]:
        """Return what returns what ``read`` returned, or raises what it raised. Raises :class:`_Unusable`."""
        position = await self._primary.read()
        async with self._connection() as connection:
            await self._catch_up(connection, position)
            async with RunningTimeout(within):
                page = await _outcome(read, connection)
                shown = await connection.fetchrow(_SHOWN, position.running)
            if not shown["standby"]:
                raise _Unusable("failover")
            await self._confirm(connection, position, shown["below"], committed=shown["committed"])
        return page

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Acquire a connection to a standby; the driver's errors become :class:`_Unusable`, also in the block."""
        assert self._pool is not None, "the replica is not running"
        with _as_unusable():
            connection = await self._pool.connection(CONNECT_TIMEOUT)
        try:
            with _as_unusable(connection):
                yield connection
        except BaseException as error:
            # Whatever runs on it is not waited for, and the next connection may lead to another standby.
            if not (isinstance(error, _Unusable) and error.reason == "refused"):
                connection.terminate()
            raise
        finally:
            with _as_unusable():
                await self._pool.release(connection)

    async def _catch_up(self, connection: asyncpg.Connection, position: Position) -> None:
        """Wait until the standby has what the primary had at ``position``. Raises :class:`_Unusable`."""
        until = self._now() + self._settings.read_replica_wait
        pause = _SHORTEST_PAUSE
        async with RunningTimeout(self._settings.read_replica_wait + ANSWER_TIMEOUT):
            while True:
                row = await connection.fetchrow(_STANDBY)
                reason = unusable(Standby(row["lsn"], row["term"]), position)
                if row["lsn"] is not None:
                    self._lag.replayed(row["lsn"])
                if reason is None:
                    return
                left = until - self._now()
                if reason != "behind" or left <= 0:
                    raise _Unusable(reason)
                await asyncio.sleep(min(pause, left))
                pause *= 2

    async def _confirm(
        self, connection: asyncpg.Connection, position: Position, shown_below: int, *, committed: bool
    ) -> None:
        """Wait until readers of the primary see all that a page may show. Raises :class:`_Unusable`.

        ``committed``: the standby has seen the commit of one of the transactions that ran at ``position``.
        """
        until = self._now() + self._settings.read_replica_wait
        pause = _SHORTEST_PAUSE
        known = position
        while unseen(known, shown_below) is None or committed:
            if known is not position:
                left = until - self._now()
                if left <= 0:
                    raise _Unusable("unconfirmed")
                await asyncio.sleep(min(pause, left))
                pause *= 2
            known = await self._primary.read()
            if known.term != position.term:
                raise _Unusable("failover")
            committed = False
            if running := unseen(known, shown_below):
                async with RunningTimeout(ANSWER_TIMEOUT):
                    committed = (await connection.fetchrow(_SHOWN, running))["committed"]

    async def _check(self) -> float:
        """Find out whether the replica can be used; return when to do so again. Raises :class:`Unavailable`."""
        with unavailable_when_lost():
            before = self._now()
            position = await self._primary.read()
            self._lag.primary(before, position.lsn)
            if position.term is None:
                await self._primary.mark()
            try:
                await self._attempt(_nothing, ANSWER_TIMEOUT)
            except _Unusable as error:
                self._stop_using(error)
                if error.reason == "behind":
                    await self._primary.write_out()
            else:
                self._use()
        self._lag_seconds.set(self._lag.seconds(self._now()))
        return CHECK_INTERVAL if self._reason is None else RETRY_INTERVAL

    def _use(self) -> None:
        if self._trouble:
            log.info("read_replica_used_again", seconds=round(self._now() - self._since, 1))
        self._reason, self._trouble = None, ""
        self._used.set(1)

    def _stop_using(self, error: _Unusable) -> None:
        now = self._now()
        if self._reason is None:
            self._since = now
            self._check_now.set()
        self._reason = error.reason
        self._used.set(0)
        if now - self._since >= REPORTED_AFTER:
            if not self._trouble:
                log.warning("read_replica_not_used", reason=error.reason, error=error.detail)
            self._trouble = f"The read replica is not used. {_SENTENCES[error.reason]}"


async def _outcome(read: Read[T], connection: asyncpg.Connection) -> Callable[[], T]:
    """Run ``read``. That something does not exist, or may not be read, is an answer like any other."""
    try:
        page = await read(connection)
    except NotifyxError as error:
        refusal = error

        def refuse() -> T:
            raise refusal

        return refuse
    return lambda: page


async def _nothing(_: asyncpg.Connection) -> None:
    """Read no page."""


@contextmanager
def _as_unusable(connection: asyncpg.Connection | None = None) -> Iterator[None]:
    """Raise :class:`_Unusable` in place of a driver's error on ``connection``, or in making one."""
    try:
        yield
    except (*DRIVER_ERRORS, OSError, TimeoutError) as error:
        lost = connection is None or connection.is_closed() or isinstance(error, (OSError, TimeoutError))
        raise _Unusable("away" if lost else "refused", f"{type(error).__name__}: {error}"[:200]) from error
