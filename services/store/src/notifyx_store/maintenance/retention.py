"""Removes notifications by retention (age, count) and by their own ``expires_at``.

Removing a notification that somebody has not acknowledged moves it, for that subscription, from *pending* to
*expired*, and a wake-up reports that counts changed. All of it happens in one transaction under the topic's exclusive
lock, so a concurrent acknowledgement comes either before or after it. Retention removes prefixes and raises
``pruned_seq``; ``expires_at`` removes single notifications. Work is done in bounded batches, and replicas share it
topic by topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from notifyx_store.base import bus, wakeups
from notifyx_store.base.database import affected
from notifyx_store.base.locking import lock_topics, quick_transaction, try_lock_retention
from notifyx_store.topics.gaps import COUNT_FLOOR

BATCH = 2_000
"""Maximum number of notifications removed in one transaction."""

Cause = Literal["retention", "expires_at"]

# The oldest notification decides: one index lookup per topic.
_OVER_RETENTION = f"""
SELECT t.id FROM topics t
CROSS JOIN LATERAL (SELECT {COUNT_FLOOR} AS seq) AS floor
CROSS JOIN LATERAL (SELECT n.seq, n.published_at FROM notifications n
                    WHERE n.topic_id = t.id AND n.seq > t.pruned_seq ORDER BY n.seq LIMIT 1) AS oldest
WHERE t.kind <> 'deleted'
  AND (oldest.seq <= floor.seq AND (t.kind <> 'inbox' OR EXISTS (
           SELECT 1 FROM subscriptions s
           WHERE s.topic_id = t.id AND s.lasting AND s.ended_at IS NULL AND (s.acked_up_to >= oldest.seq OR EXISTS (
               SELECT 1 FROM ack_exceptions e JOIN notifications n ON n.topic_id = t.id AND n.seq = e.seq
               WHERE e.subscription_id = s.id AND e.seq <= floor.seq))))
       OR oldest.published_at < $1::timestamptz - t.retention_max_age * interval '1 second')
ORDER BY random() LIMIT $2
"""  # noqa: S608 - put together from constants

_OVER_EXPIRY = """
SELECT DISTINCT topic_id AS id FROM (
    SELECT topic_id FROM notifications WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
) AS expired
"""

# The oldest rows, as long as each of them (and all before it) is beyond one of the two bounds. In an inbox the number
# of notifications removes none that its user has not acknowledged. What is removed stays in the index until it is
# vacuumed: no batch reads past all those before it.
_PREFIX = f"""
SELECT array(
    SELECT seq FROM (
        SELECT seq, bool_and(over) OVER (ORDER BY seq) AS doomed FROM (
            SELECT n.seq, (n.seq <= floor.seq AND (t.kind <> 'inbox' OR n.seq <= (
                              SELECT s.acked_up_to FROM subscriptions s
                              WHERE s.topic_id = t.id AND s.lasting AND s.ended_at IS NULL)))
                          OR n.published_at < $2::timestamptz - t.retention_max_age * interval '1 second' AS over
            FROM topics t CROSS JOIN LATERAL (SELECT {COUNT_FLOOR} AS seq) AS floor
            JOIN notifications n ON n.topic_id = t.id
            WHERE t.id = $1 AND n.seq > (SELECT pruned_seq FROM topics WHERE id = $1) ORDER BY n.seq LIMIT $3
        ) AS oldest
    ) AS checked WHERE doomed ORDER BY seq)
"""  # noqa: S608 - put together from constants

_ACKED_IN_INBOX = f"""
SELECT array(
    SELECT n.seq FROM topics t
    CROSS JOIN LATERAL (SELECT {COUNT_FLOOR} AS seq) AS floor
    JOIN subscriptions s ON s.topic_id = t.id AND s.lasting AND s.ended_at IS NULL
    JOIN ack_exceptions e ON e.subscription_id = s.id AND e.seq <= floor.seq
    JOIN notifications n ON n.topic_id = t.id AND n.seq = e.seq
    WHERE t.id = $1 AND t.kind = 'inbox' ORDER BY n.seq LIMIT $2)
"""  # noqa: S608 - put together from constants
"""What was acknowledged singly, beyond the number, behind something unread."""

_SINGLES = """
SELECT array(SELECT seq FROM (SELECT seq FROM notifications WHERE topic_id = $1 AND expires_at <= $2
                              ORDER BY expires_at LIMIT $3) AS expired ORDER BY seq)
"""

_LOCK_SUBSCRIPTIONS = """
SELECT 1 FROM subscriptions WHERE topic_id = $1 AND ended_at IS NULL AND acked_up_to < $2 ORDER BY id FOR UPDATE
"""

# $2 holds the removed seqs in order: width_bucket() finds by binary search how many a subscription's cursor has passed.
# Acknowledged seqs above the cursor are in ack_exceptions.
_COUNT_EXPIRED = """
WITH excepted AS (
    SELECT s.id, count(*) AS n
    FROM unnest($2::bigint[]) AS doomed(seq)
    JOIN ack_exceptions e ON e.seq = doomed.seq
    JOIN subscriptions s ON s.id = e.subscription_id AND s.topic_id = $1 AND s.ended_at IS NULL
                        AND e.seq > greatest(s.acked_up_to, s.first_seq - 1)
    GROUP BY s.id
), counted AS (
    SELECT s.id, cardinality($2::bigint[])
                 - width_bucket(greatest(s.acked_up_to, s.first_seq - 1), $2::bigint[])
                 - coalesce(excepted.n, 0) AS n,
           CASE WHEN excepted.n IS NULL THEN ($2::bigint[])[cardinality($2::bigint[])]
                ELSE (SELECT max(doomed.seq) FROM unnest($2::bigint[]) AS doomed(seq)
                      WHERE NOT EXISTS (SELECT 1 FROM ack_exceptions e
                                        WHERE e.subscription_id = s.id AND e.seq = doomed.seq)) END AS last
    FROM subscriptions s LEFT JOIN excepted ON excepted.id = s.id
    WHERE s.topic_id = $1 AND s.ended_at IS NULL AND s.acked_up_to < ($2::bigint[])[cardinality($2::bigint[])]
)
UPDATE subscriptions s SET expired_total = s.expired_total + counted.n,
                           expired_seq = greatest(s.expired_seq, counted.last)
FROM counted WHERE s.id = counted.id AND counted.n > 0
"""

_DELETE_ACK_EXCEPTIONS = """
DELETE FROM ack_exceptions e USING subscriptions s
WHERE s.topic_id = $1 AND e.subscription_id = s.id AND e.seq = ANY($2::bigint[])
"""

# A prefix is all that exists between its first and its last seq, so a range of the primary key has it. For a long list
# PostgreSQL takes the index by time, and reads all of it that is the topic's.
_PREFIX_SEQS = "seq BETWEEN ($2::bigint[])[1] AND ($2::bigint[])[cardinality($2::bigint[])]"
_SINGLE_SEQS = "seq = ANY($2::bigint[])"


def _remove(seqs: str) -> str:
    return f"""
WITH direct AS (
    DELETE FROM direct_messages WHERE topic_id = $1 AND {seqs} AND (SELECT kind FROM topics WHERE id = $1) = 'inbox'
)
DELETE FROM notifications WHERE topic_id = $1 AND {seqs}
"""  # noqa: S608 - put together from constants


_REMOVE_PREFIX, _REMOVE_SINGLES = _remove(_PREFIX_SEQS), _remove(_SINGLE_SEQS)
_RAISE_REMOVED_SEQ = "UPDATE topics SET pruned_seq = greatest(pruned_seq, $2) WHERE id = $1"
_DELETE_BLOCKS = "DELETE FROM removed_blocks WHERE topic_id = $1 AND block < $2::bigint >> 10"


@dataclass(frozen=True, slots=True)
class RemovedBatch:
    """Number of removed notifications, and whether more remain to be removed."""

    removed: int = 0
    more: bool = False


async def topics_over_retention(connection: asyncpg.Connection, now: datetime, limit: int = 500) -> list[UUID]:
    """Return up to ``limit`` topics beyond their retention, in random order: replicas begin at different ones."""
    return [row["id"] for row in await connection.fetch(_OVER_RETENTION, now, limit)]


async def topics_past_expiry(connection: asyncpg.Connection, now: datetime, limit: int = 5_000) -> list[UUID]:
    """Return the topics of the ``limit`` notifications that expired first."""
    return [row["id"] for row in await connection.fetch(_OVER_EXPIRY, now, limit)]


async def remove_batch(
    connection: asyncpg.Connection, topic: UUID, cause: Cause, now: datetime, *, batch: int = BATCH
) -> RemovedBatch:
    """Remove one batch of notifications of ``topic`` for ``cause``.

    Do nothing while another replica works on the topic. Raises :class:`asyncpg.LockNotAvailableError` or
    :class:`asyncpg.DeadlockDetectedError` while requests hold its locks: try again later.
    """
    async with quick_transaction(connection):
        if not await try_lock_retention(connection, topic):
            return RemovedBatch()
        await lock_topics(connection, [topic])
        seqs: list[int] = await connection.fetchval(_PREFIX if cause == "retention" else _SINGLES, topic, now, batch)
        prefix = cause == "retention" and bool(seqs)
        if cause == "retention" and not seqs:
            seqs = await connection.fetchval(_ACKED_IN_INBOX, topic, batch)
        if not seqs:
            return RemovedBatch()
        await connection.execute(_LOCK_SUBSCRIPTIONS, topic, seqs[-1])
        if affected(await connection.execute(_COUNT_EXPIRED, topic, seqs)):
            await bus.send(connection, wakeups.expired([topic]))
        await connection.execute(_DELETE_ACK_EXCEPTIONS, topic, seqs)
        await connection.execute(_REMOVE_PREFIX if prefix else _REMOVE_SINGLES, topic, seqs)
        if prefix:
            await connection.execute(_RAISE_REMOVED_SEQ, topic, seqs[-1])
            await connection.execute(_DELETE_BLOCKS, topic, seqs[-1])
        return RemovedBatch(len(seqs), len(seqs) == batch)
