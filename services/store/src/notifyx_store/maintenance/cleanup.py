"""Deletes records that nothing needs any more: idempotency keys, recorded batches, finished emails.

Finished emails leave the outbox but stay in the ledger: the statement that deletes them adds them to their topic's
totals (the table ``outbox_books``), so that due = sent + fenced + pending + dead stays true.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from notifyx_store.base.database import affected

BATCH = 5_000
"""Maximum number of rows deleted by one statement."""

# PostgreSQL may execute a subquery of IN once for each row, and one that locks finds other rows each time: then more
# than the limit is deleted. ARRAY(...) is executed once.
_IDEMPOTENCY = """
DELETE FROM idempotency WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency WHERE created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
"""

_BATCHES = """
DELETE FROM publish_batches WHERE batch_id = ANY(ARRAY(
    SELECT batch_id FROM publish_batches WHERE created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
"""

_EMAILS = """
WITH gone AS (
    DELETE FROM outbox WHERE id = ANY(ARRAY(
        SELECT id FROM outbox WHERE state IN ('sent', 'fenced', 'dead') AND due_at < $1
        ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING topic_id, state
), booked AS (
    INSERT INTO outbox_books AS totals (topic_id, sent, fenced, dead)
    SELECT topic_id, count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'fenced'),
           count(*) FILTER (WHERE state = 'dead')
    FROM gone GROUP BY topic_id ORDER BY topic_id
    ON CONFLICT (topic_id) DO UPDATE SET sent = totals.sent + excluded.sent,
        fenced = totals.fenced + excluded.fenced, dead = totals.dead + excluded.dead
)
SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True)
class RecordTtls:
    """How long records are stored: idempotency keys (the API promises a day), recorded batches, finished emails."""

    idempotency: timedelta = timedelta(hours=48)
    batches: timedelta = timedelta(hours=1)
    emails: timedelta = timedelta(days=7)


async def delete_old_records(
    connection: asyncpg.Connection, ttls: RecordTtls, now: datetime, *, batch: int = BATCH
) -> bool:
    """Delete up to ``batch`` records of each kind; return whether there may be more."""
    keys = affected(await connection.execute(_IDEMPOTENCY, now - ttls.idempotency, batch))
    batches = affected(await connection.execute(_BATCHES, now - ttls.batches, batch))
    emails: int = await connection.fetchval(_EMAILS, now - ttls.emails, batch)
    return batch in (keys, batches, emails)
