"""Fills the outbox from the log: writes the emails that a topic's new notifications require.

Each topic has a cursor, ``email_seq``: the outbox holds all that is due for every seq up to it. A step reads what
follows the cursor, writes the rows of every subscription with email, adds their number to the topic's totals
(``outbox_books.due``, one side of the email ledger) and moves the cursor, in one transaction: a process that is
killed leaves a whole step or none.

No publish waits for it. The step holds each topic's advisory lock exclusively for a moment; subscribing holds it
shared. So a concurrent subscription is either seen by the step or starts after what the step reads. The lock timeout
is short; a busy topic is left to the next round.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from notifyx_store.base.locking import lock_topics, quick_transaction
from notifyx_store.topics.gaps import after_gap

TOPICS_PER_STEP = 50
"""Maximum number of topics in one transaction."""

ROWS_PER_STEP = 1_000
"""Approximate number of outbox rows per topic and transaction (a seq is never split): acknowledgements wait."""

_BEHIND = "SELECT id FROM topics WHERE email_seq < last_seq AND kind <> 'deleted' ORDER BY id LIMIT $1"

# One statement, one snapshot: each topic's step, the rows it requires, and how many of each kind were written.
# A digest's window ends after *now*, not after the publish: its row cannot have been leased yet. If clocks of
# replicas differ and the row is leased all the same, new notifications go to the next window.
_WRITE = f"""
WITH topic AS (
    SELECT t.id, t.last_seq, t.email_seq, t.email_unread_after, t.email_digest_every,
           (SELECT count(*) FROM subscriptions s
            WHERE s.topic_id = t.id AND s.lasting AND s.ended_at IS NULL AND s.email_mode <> 'never') AS crowd
    FROM topics t WHERE t.id = ANY($1::uuid[]) AND t.email_seq < t.last_seq AND t.kind <> 'deleted'
), step AS (
    SELECT topic.*, {after_gap("topic.id", "least(topic.last_seq, topic.email_seq + bounded.reach)")} AS upto,
           to_timestamp((floor(extract(epoch FROM $2::timestamptz) / email_digest_every) + 1) * email_digest_every)
               AS window_end
    FROM topic CROSS JOIN LATERAL (
        SELECT CASE WHEN crowd = 0 THEN last_seq ELSE greatest(1, $3::bigint / crowd) END AS reach) AS bounded
), due AS (
    SELECT s.id AS subscription_id, s.topic_id, s.user_id, s.email_mode, n.seq, n.published_at,
           step.email_unread_after, step.email_digest_every, step.window_end
    FROM step
    JOIN subscriptions s ON s.topic_id = step.id AND s.lasting AND s.ended_at IS NULL AND s.email_mode <> 'never'
    JOIN notifications n ON n.topic_id = step.id AND n.seq > step.email_seq AND n.seq <= step.upto
                        AND n.seq >= s.first_seq AND n.seq > s.acked_up_to
    WHERE (n.expires_at IS NULL OR n.expires_at > $2)
      AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = n.seq)
), single AS (
    INSERT INTO outbox (id, subscription_id, topic_id, user_id, mode, from_seq, to_seq, state, due_at, attempts,
                        created_at)
    SELECT gen_random_uuid(), subscription_id, topic_id, user_id, email_mode, seq, seq, 'pending',
           published_at + CASE email_mode WHEN 'unread' THEN email_unread_after ELSE 0 END * interval '1 second',
           0, $2
    FROM due WHERE email_mode <> 'digest'
    ON CONFLICT DO NOTHING
    RETURNING topic_id
), gathered AS (
    SELECT subscription_id, topic_id, user_id, min(seq) AS from_seq, max(seq) AS to_seq, window_end,
           email_digest_every
    FROM due WHERE email_mode = 'digest'
    GROUP BY subscription_id, topic_id, user_id, window_end, email_digest_every
), placed AS (
    SELECT g.*, CASE WHEN leased_row.id IS NULL THEN g.window_end
                     ELSE g.window_end + g.email_digest_every * interval '1 second' END AS chosen
    FROM gathered g
    LEFT JOIN outbox leased_row ON leased_row.subscription_id = g.subscription_id AND leased_row."window" = g.window_end
                          AND leased_row.state <> 'pending'
), digest AS (
    INSERT INTO outbox (id, subscription_id, topic_id, user_id, mode, from_seq, to_seq, state, due_at, attempts,
                        created_at, "window")
    SELECT gen_random_uuid(), subscription_id, topic_id, user_id, 'digest', from_seq, to_seq, 'pending', chosen, 0,
           $2, chosen
    FROM placed ORDER BY subscription_id
    ON CONFLICT (subscription_id, "window") WHERE mode = 'digest'
    DO UPDATE SET from_seq = least(outbox.from_seq, excluded.from_seq),
                  to_seq = greatest(outbox.to_seq, excluded.to_seq)
    WHERE outbox.state = 'pending'
    RETURNING topic_id, (xmax = 0) AS fresh
), written AS (
    SELECT topic_id, count(*) AS rows FROM (
        SELECT topic_id FROM single UNION ALL SELECT topic_id FROM digest WHERE fresh
    ) AS fresh_rows GROUP BY topic_id
), booked AS (
    INSERT INTO outbox_books AS totals (topic_id, due)
    SELECT topic_id, rows FROM written ORDER BY topic_id
    ON CONFLICT (topic_id) DO UPDATE SET due = totals.due + excluded.due
)
SELECT step.id, step.upto, step.last_seq, coalesce(written.rows, 0) AS rows,
       (SELECT count(*) FROM placed p WHERE p.topic_id = step.id) AS digests_wanted,
       (SELECT count(*) FROM digest d WHERE d.topic_id = step.id) AS digests_placed
FROM step LEFT JOIN written ON written.topic_id = step.id
ORDER BY step.id
"""  # noqa: S608 - put together from constants

# Topic rows are locked in the order of ids, as publishing does, and only until the commit.
_LOCK_ROWS = "SELECT 1 FROM topics WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"
_MOVE = """
UPDATE topics t SET email_seq = moved.upto
FROM unnest($1::uuid[], $2::bigint[]) AS moved(id, upto) WHERE t.id = moved.id
"""


@dataclass(frozen=True, slots=True)
class FillResult:
    """Number of outbox rows written, and the topics that are not finished."""

    rows: int = 0
    unfinished: frozenset[UUID] = frozenset()


class _DigestLeased(Exception):
    """A digest row was leased between the read and the write; the next round sees the lease."""


async def topics_behind(connection: asyncpg.Connection, limit: int) -> list[UUID]:
    """Return up to ``limit`` topics whose outbox is behind their log."""
    return [row["id"] for row in await connection.fetch(_BEHIND, limit)]


async def fill_outbox(
    connection: asyncpg.Connection, topics: Collection[UUID], now: datetime, *, rows: int = ROWS_PER_STEP
) -> FillResult:
    """Run one step for each of ``topics`` that is behind.

    A busy topic stays unfinished; so does one with more than ``rows`` rows to write.
    """
    total = 0
    unfinished: set[UUID] = set()
    ordered = sorted(topics)
    for start in range(0, len(ordered), TOPICS_PER_STEP):
        batch = ordered[start : start + TOPICS_PER_STEP]
        try:
            done = await _fill_topics(connection, batch, now, rows)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, _DigestLeased):
            done = await _fill_each(connection, batch, now, rows)
        total += done.rows
        unfinished |= done.unfinished
    return FillResult(total, frozenset(unfinished))


async def _fill_each(connection: asyncpg.Connection, batch: list[UUID], now: datetime, rows: int) -> FillResult:
    total = 0
    unfinished: set[UUID] = set()
    for topic in batch:
        try:
            done = await _fill_topics(connection, [topic], now, rows)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, _DigestLeased):
            unfinished.add(topic)
        else:
            total += done.rows
            unfinished |= done.unfinished
    return FillResult(total, frozenset(unfinished))


async def _fill_topics(connection: asyncpg.Connection, batch: list[UUID], now: datetime, rows: int) -> FillResult:
    async with quick_transaction(connection):
        await lock_topics(connection, batch)
        steps = await connection.fetch(_WRITE, batch, now, rows)
        if any(step["digests_wanted"] != step["digests_placed"] for step in steps):
            raise _DigestLeased
        ids = [step["id"] for step in steps]
        if ids:
            await connection.execute(_LOCK_ROWS, ids)
            await connection.execute(_MOVE, ids, [step["upto"] for step in steps])
    unfinished = frozenset(step["id"] for step in steps if step["upto"] < step["last_seq"])
    return FillResult(sum(step["rows"] for step in steps), unfinished)
