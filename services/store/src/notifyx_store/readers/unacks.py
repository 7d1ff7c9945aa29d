"""Takes acknowledgements back: single ones, or those that one acknowledgement of everything has made.

The position stays what it is: a cursor, and single seqs above it. So the cursor goes back before the first seq that is
unread again, and what stays acknowledged after it becomes single seqs, of which there is a maximum. The ledger counts
what was taken back as pending again. Email that was sent, or fenced because it was acknowledged, stays so; what has
expired stays told.

Each time the subscription's revision grows. An acknowledgement that names an earlier one was made before, on a device
that did not know, and changes nothing (see ``readers/acks.py``).
"""

from __future__ import annotations

import asyncpg

from notifyx_common.contracts.store.acks import AckResult, Unack
from notifyx_common.errors import Conflict, InvalidRequest
from notifyx_common.principal import Principal
from notifyx_store.base import wakeups
from notifyx_store.base.locking import LOCK_SHARED
from notifyx_store.log.unread import EXPIRED, UNREAD
from notifyx_store.topics.permissions import TopicRow, check_read

MAX_KEPT = 10_000
"""Maximum number of single seqs that taking back acknowledgements may leave behind the cursor."""

_LOCK_ROW = "SELECT id FROM subscriptions WHERE topic_id = $1 AND user_id = $2 AND ended_at IS NULL FOR UPDATE"

_TAKE_BACK = f"""
WITH base AS (
    SELECT s.id, s.topic_id, s.first_seq, s.acked_up_to AS before, {UNREAD} AS unread, {EXPIRED} AS expired
    FROM subscriptions s JOIN topics t ON t.id = s.topic_id WHERE s.id = $1
), wanted AS (
    SELECT DISTINCT one.seq FROM unnest($2::bigint[]) AS one(seq)
    UNION ALL
    SELECT n.seq FROM base b JOIN notifications n ON n.topic_id = b.topic_id AND n.seq > $3 AND n.seq <= $4
    WHERE NOT EXISTS (SELECT 1 FROM unnest($5::bigint[]) AS stays(seq) WHERE stays.seq = n.seq)
), undone AS MATERIALIZED (
    SELECT n.seq FROM base b CROSS JOIN wanted
    JOIN notifications n ON n.topic_id = b.topic_id AND n.seq = wanted.seq AND n.seq >= b.first_seq
    WHERE n.seq <= b.before
       OR EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = b.id AND e.seq = n.seq)
), moved AS (
    SELECT b.*, (SELECT count(*) FROM undone) AS count,
           coalesce((SELECT min(u.seq) - 1 FROM undone u WHERE u.seq <= b.before), b.before) AS cursor
    FROM base b
), kept AS MATERIALIZED (
    SELECT n.seq FROM moved m JOIN notifications n ON n.topic_id = m.topic_id AND n.seq > m.cursor AND n.seq <= m.before
    WHERE NOT EXISTS (SELECT 1 FROM undone u WHERE u.seq = n.seq)
    LIMIT {MAX_KEPT + 1}
), result AS (
    SELECT m.*, (SELECT count(*) FROM kept) AS kept FROM moved m
), removed AS (
    DELETE FROM ack_exceptions e USING result r, undone u
    WHERE r.kept <= {MAX_KEPT} AND e.subscription_id = r.id AND e.seq = u.seq
), excepted AS (
    INSERT INTO ack_exceptions (subscription_id, seq)
    SELECT r.id, k.seq FROM result r CROSS JOIN kept k WHERE r.kept <= {MAX_KEPT} ORDER BY k.seq
), written AS (
    UPDATE subscriptions s
    SET acked_up_to = r.cursor, acked_total = s.acked_total - r.count, ack_revision = s.ack_revision + 1
    FROM result r WHERE s.id = r.id AND r.kept <= {MAX_KEPT}
    RETURNING s.ack_revision
)
SELECT r.cursor, r.count, r.unread + r.count AS unread, r.expired, (SELECT ack_revision FROM written) AS revision
FROM result r
"""  # noqa: S608 - put together from constants

_WITHOUT_ROW = f"""
SELECT {UNREAD} AS unread FROM topics t LEFT JOIN subscriptions s ON false WHERE t.id = $1
"""  # noqa: S608 - put together from constants


async def unacknowledge(
    connection: asyncpg.Connection, principal: Principal, topic: TopicRow, wanted: Unack
) -> tuple[AckResult, int]:
    """Take acknowledgements of the caller back; return the position, and how many are unread again.

    Raises :class:`InvalidRequest`, :class:`NotFound`, :class:`Forbidden`, or :class:`Conflict` where too much that
    follows would have to be recorded one by one.
    """
    if (wanted.seqs is None) == (wanted.up_to is None) or (wanted.up_to is None) != (wanted.after is None):
        raise InvalidRequest("Give either 'seqs', or 'after' and 'up_to'.", code="validation_failed")
    check_read(principal, topic)
    async with connection.transaction():
        await connection.execute(LOCK_SHARED, [topic.id])
        row = await connection.fetchval(_LOCK_ROW, topic.id, principal.id)
        if row is None:
            unread = await connection.fetchval(_WITHOUT_ROW, topic.id)
            return AckResult(topic=topic.name, acked_up_to=0, unread=unread or 0), 0
        done = await connection.fetchrow(
            _TAKE_BACK, row, wanted.seqs or [], wanted.after or 0, wanted.up_to or 0, wanted.keep or []
        )
        if done["revision"] is None:
            raise Conflict(
                f"More than {MAX_KEPT:,} notifications after it are acknowledged; it cannot become unread any more.",
                code="too_far_back",
            )
        await connection.execute(wakeups.NOTIFY, wakeups.acknowledged([(topic.id, principal.id)]))
    result = AckResult(
        topic=topic.name,
        acked_up_to=done["cursor"],
        unread=done["unread"],
        expired=done["expired"],
        revision=done["revision"],
    )
    return result, done["count"]
