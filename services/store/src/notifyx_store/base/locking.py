"""The advisory locks of topics, which keep the ledger exact, and how background work takes them.

Acknowledging, subscribing and unsubscribing hold a topic's advisory lock shared; what counts or removes a topic's
notifications (the sweep, the outbox's cursor) holds it exclusively, in a transaction that is short and waits
little: background work steps aside for people.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended(id::text, 0)) FROM unnest($1::uuid[]) AS wanted(id)"
"""Hold the advisory locks of the topics ``$1``, given in the order of their ids, until the transaction ends."""

LOCK_EXCLUSIVE = "SELECT pg_advisory_xact_lock(hashtextextended(id::text, 0)) FROM unnest($1::uuid[]) AS wanted(id)"
"""The same, against everybody else who wants them."""

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('sweep:' || $1::uuid::text, 0))"

# Shorter than PostgreSQL's deadlock_timeout (1 s): should two ever wait for each other, it is we who let go.
_SHORT_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'; SET LOCAL synchronous_commit = off"


@asynccontextmanager
async def quick_transaction(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction of background work: it waits at most half a second for a lock.

    It need not wait for the disk either: lost in a crash, it is simply done again, whole. Raises
    :class:`asyncpg.LockNotAvailableError` when a lock is held for longer.
    """
    async with connection.transaction():
        await connection.execute(_SHORT_LOCK_TIMEOUT)
        yield


async def lock_topics(connection: asyncpg.Connection, topics: Sequence[UUID]) -> None:
    """Hold the advisory lock of each topic exclusively until the transaction ends, taken in the given order."""
    await connection.execute(LOCK_EXCLUSIVE, topics)


async def try_lock_retention(connection: asyncpg.Connection, topic: UUID) -> bool:
    """Whether this transaction is the one that sweeps ``topic`` now; other replicas take another."""
    return bool(await connection.fetchval(_TRY_LOCK, topic))
