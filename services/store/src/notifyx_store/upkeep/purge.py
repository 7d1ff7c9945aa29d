"""Removing the data of deleted topics, in pieces small enough that nobody waits for them.

A deleted topic has lost its name and its subscriptions' place in the books in the transaction that deleted it; what is
left is rows nobody reads. Emails are taken off both sides of their ledger together. Replicas share the work.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from notifyx_common.database import as_unavailable
from notifyx_common.logs import get_logger
from notifyx_store.base.context import StoreContext

log = get_logger(__name__)

BATCH = 5_000
"""Most rows of a kind removed in one transaction."""

_CLAIM = "SELECT id FROM topics WHERE kind = 'deleted' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"

_EMAILS = """
WITH gone AS (
    DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE topic_id = $1 LIMIT $2 FOR UPDATE) RETURNING id
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
_TOPIC = "DELETE FROM topics WHERE id = $1"


async def purge_step(connection: asyncpg.Connection, batch: int = BATCH) -> bool:
    """Remove one piece of one deleted topic; whether there was anything to remove."""
    async with connection.transaction():
        topic = await connection.fetchval(_CLAIM)
        if topic is None:
            return False
        for statement in (_EMAILS, _EXCEPTIONS, _SUBSCRIPTIONS, _NOTIFICATIONS):
            if await connection.fetchval(statement, topic, batch):
                return True
        await connection.execute(_TOPIC, topic)
        return True


async def purge_forever(context: StoreContext) -> None:
    """Purge until cancelled; the database's absence is waited out."""
    while True:
        pause = context.settings.purge_every * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
        try:
            async with context.pool.acquire() as connection:
                more = await purge_step(connection)
            pause = 0.0 if more else pause
        except Exception as error:
            if as_unavailable(error) is None:
                raise
            log.warning("purging waits for the database", error=type(error).__name__)
        await asyncio.sleep(pause)


@asynccontextmanager
async def purging(context: StoreContext) -> AsyncIterator[None]:
    """Purge deleted topics while the block is entered."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(purge_forever(context), name="purge")
        try:
            yield
        finally:
            task.cancel()
