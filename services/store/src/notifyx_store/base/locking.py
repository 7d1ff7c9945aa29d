"""The advisory locks of the store: of topics, which keep the ledger exact, and of work that one replica does at a time.

Acknowledging, subscribing and unsubscribing hold a topic's advisory lock shared; work that counts or removes a topic's
notifications (retention, expiry, the outbox's cursor) holds it exclusively, in a short transaction with a short lock
timeout: requests of people go first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended(id::text, 0)) FROM unnest($1::uuid[]) AS wanted(id)"
"""Hold the advisory locks of the topics ``$1``, given in the order of their ids, until the transaction ends."""

LOCK_EXCLUSIVE = "SELECT pg_advisory_xact_lock(hashtextextended(id::text, 0)) FROM unnest($1::uuid[]) AS wanted(id)"
"""As :data:`LOCK_SHARED`, but exclusively."""

LOCK_INCIDENTS = "SELECT pg_advisory_xact_lock(hashtextextended('incidents', 0))"
"""Hold the advisory lock of the list of incidents until the transaction ends."""

TRY_LOCK_SEARCH_INDEX = "SELECT pg_try_advisory_xact_lock(hashtextextended('search index', 0))"
"""Try to become the one replica that indexes now, until the transaction ends."""

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('sweep:' || $1::uuid::text, 0))"

# Shorter than PostgreSQL's deadlock_timeout (1 s): in a deadlock, background work gives up, not a request.
_SHORT_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'; SET LOCAL synchronous_commit = off"


@asynccontextmanager
async def quick_transaction(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Open a transaction of background work, which waits at most half a second for a lock.

    Its commit does not wait for the disk: what a crash loses is done again as a whole. Raises
    :class:`asyncpg.LockNotAvailableError` when a lock is held for longer.
    """
    async with connection.transaction():
        await connection.execute(_SHORT_LOCK_TIMEOUT)
        yield


async def lock_topics(connection: asyncpg.Connection, topics: Sequence[UUID]) -> None:
    """Acquire each topic's advisory lock exclusively, in the given order, until the transaction ends."""
    await connection.execute(LOCK_EXCLUSIVE, topics)


async def try_lock_retention(connection: asyncpg.Connection, topic: UUID) -> bool:
    """Try to become the one replica that removes notifications of ``topic`` now; return whether it worked.

    The key of the lock is part of the agreement between replicas of different versions.
    """
    return bool(await connection.fetchval(_TRY_LOCK, topic))
