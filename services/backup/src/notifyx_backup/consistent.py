"""One point in time of two databases.

Two databases have no common snapshot, not even on one server. What has to agree between them is who exists: the store
refers to users by their ids, and auth keeps API keys, webhooks and departures of deleted accounts. All of it changes in
auth first, and such changes are rare. So auth's tables of these are locked against writes for the moment in which both
snapshots begin: what auth shows then was so at the store's point, too. Publishing never waits, and whoever signs up at
that moment waits for a few milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from pydantic import SecretStr

from notifyx_backup import catalogue
from notifyx_backup.connections import connect
from notifyx_backup.errors import BackupError
from notifyx_backup.manifest import Part
from notifyx_common.backoff import Backoff
from notifyx_common.database import DRIVER_ERRORS

HELD = ("users", "api_keys", "hooks", "departures")
"""Tables of auth that are held still, as far as its version has them."""

ATTEMPTS = 10
_LOCK_TIMEOUT = "2s"
"""Of the wait for writers of those tables; others queue behind it, so it is short."""

_HOLD_TIMEOUT = "10s"
"""After it PostgreSQL takes the lock from a backup that hangs."""

_PAUSES = Backoff(0.5, 5.0)


@dataclass(frozen=True, slots=True)
class Point:
    """A connection for each database, in a transaction that shows it as it was at ``taken_at``."""

    connections: dict[Part, asyncpg.Connection]
    taken_at: datetime


@contextlib.asynccontextmanager
async def consistent_point(urls: dict[Part, SecretStr]) -> AsyncIterator[Point]:
    """Open one point of both databases, which lasts until the block is left. Raises :class:`BackupError`."""
    async with connect(urls["auth"], "auth") as auth, connect(urls["store"], "store") as store:
        snapshots = {
            part: connection.transaction(isolation="repeatable_read", readonly=True)
            for part, connection in (("auth", auth), ("store", store))
        }
        async with connect(urls["auth"], "auth") as holder:
            hold = holder.transaction()
            await hold.start()
            await _hold(holder)
            await snapshots["auth"].start()
            await snapshots["store"].start()
            # A snapshot begins with the first statement. Times in the log are those of clocks like this one.
            await auth.fetchval("SELECT 1")
            taken_at: datetime = await store.fetchval("SELECT clock_timestamp()")
            await hold.rollback()
        try:
            yield Point({"auth": auth, "store": store}, taken_at)
        finally:
            for part in ("store", "auth"):
                await _end(snapshots[part])


async def _hold(connection: asyncpg.Connection) -> None:
    """Lock the tables until the transaction ends. Raises :class:`BackupError`."""
    held = [name for name in await catalogue.tables(connection) if name in HELD]
    if not held:
        return
    await connection.execute(
        f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'; SET LOCAL idle_in_transaction_session_timeout = '{_HOLD_TIMEOUT}'"
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {', '.join(held)} IN SHARE MODE")
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if attempt < ATTEMPTS:
                await asyncio.sleep(_PAUSES.after(attempt))
    raise BackupError(
        "Accounts change all the time, so that no point in time could be found; nothing was written. Try again."
    )


async def _end(transaction: asyncpg.transaction.Transaction) -> None:
    # Where its connection is gone, so is the transaction.
    with contextlib.suppress(*DRIVER_ERRORS, OSError):
        await transaction.rollback()
