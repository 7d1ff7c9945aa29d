"""Removes the data of deleted topics in small transactions, so that no lock is held for long.

The transaction that deleted a topic has freed its name and ended its subscriptions; nobody reads its remaining rows.
Emails are subtracted from both sides of their ledger together. Replicas share the work.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from notifyx_common.background import Background, every
from notifyx_common.database import lost_as_unavailable
from notifyx_common.errors import Unavailable
from notifyx_store.base.context import StoreContext

BATCH = 5_000
"""Maximum number of rows of a kind removed in one transaction."""

_LOCK_DELETED_TOPIC = "SELECT id FROM topics WHERE kind = 'deleted' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"

_EMAILS = """
WITH gone AS (
    DELETE FROM outbox WHERE id = ANY(ARRAY(
        SELECT id FROM outbox WHERE topic_id = $1 ORDER BY id LIMIT $2 FOR UPDATE))
    RETURNING id
), booked AS (
    UPDATE outbox_books SET due = due - (SELECT count(*) FROM gone) WHERE topic_id = $1
)
SELECT count(*) FROM gone
"""
_EXCEPTIONS = """
WITH gone AS (
    DELETE FROM ack_exceptions WHERE (subscription_id, seq) IN (
        SELECT e.subscription_id, e.seq FROM ack_exceptions e JOIN subscriptions s ON s.id = e.subscription_id
        WHERE s.topic_id = $1 LIMIT $2)
    RETURNING 1
)
SELECT count(*) FROM gone
"""
_SUBSCRIPTIONS = """
WITH gone AS (
    DELETE FROM subscriptions WHERE id IN (SELECT id FROM subscriptions WHERE topic_id = $1 LIMIT $2) RETURNING 1
)
SELECT count(*) FROM gone
"""
_NOTIFICATIONS = """
WITH gone AS (
    DELETE FROM notifications WHERE topic_id = $1
        AND seq IN (SELECT seq FROM notifications WHERE topic_id = $1 ORDER BY seq LIMIT $2)
    RETURNING 1
)
SELECT count(*) FROM gone
"""
_DIRECT = """
WITH gone AS (
    DELETE FROM direct_messages WHERE topic_id = $1
        AND seq IN (SELECT seq FROM direct_messages WHERE topic_id = $1 ORDER BY seq LIMIT $2)
    RETURNING 1
)
SELECT count(*) FROM gone
"""
_TOPIC = "DELETE FROM topics WHERE id = $1"


async def purge_piece(connection: asyncpg.Connection, batch: int = BATCH) -> bool:
    """Remove one piece of one deleted topic; return whether there was anything to remove."""
    async with connection.transaction():
        topic = await connection.fetchval(_LOCK_DELETED_TOPIC)
        if topic is None:
            return False
        for statement in (_EMAILS, _EXCEPTIONS, _SUBSCRIPTIONS, _DIRECT, _NOTIFICATIONS):
            if await connection.fetchval(statement, topic, batch):
                return True
        await connection.execute(_TOPIC, topic)
        return True


@asynccontextmanager
async def run_purge(context: StoreContext, background: Background) -> AsyncIterator[None]:
    """Purge deleted topics while the block is entered; wait while the database is away."""

    async def step() -> float:
        async with context.pool.acquire() as connection:
            return 0.0 if await purge_piece(connection) else context.settings.purge_every

    async with background.tasks() as tasks:
        tasks.endless("purge", every(None, lost_as_unavailable(step), away=(Unavailable,)))
        yield
