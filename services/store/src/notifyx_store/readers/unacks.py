"""Takes acknowledgements back: single ones, or those that one acknowledgement of everything has made.

The position stays what it is: a cursor, and single seqs above it. So the cursor goes back before the first seq that is
unread again, and what stays acknowledged after it becomes single seqs, of which there is a maximum. The ledger counts
what was taken back as pending again. Email that was sent, or fenced because it was acknowledged, stays so; what has
expired stays told.

Where something was taken back, the subscription's revision grows. An acknowledgement that names an earlier one was made
before, on a device that did not know, and changes nothing (see ``readers/acks.py``).
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from notifyx_common.contracts.store.acks import AckResult, Unack
from notifyx_common.errors import Conflict, InvalidRequest
from notifyx_common.principal import Principal
from notifyx_store.base import bus, wakeups
from notifyx_store.base.locking import LOCK_SHARED
from notifyx_store.log.unread import EXPIRED, UNREAD
from notifyx_store.topics.permissions import TopicRow, check_read

MAX_KEPT = 10_000
"""Maximum number of single seqs that taking back acknowledgements may leave behind the cursor."""

_LOCK_ROW = "SELECT id FROM subscriptions WHERE topic_id = $1 AND user_id = $2 AND ended_at IS NULL FOR UPDATE"

# What is wanted is between $3 and $4, and in the list $5 or, for a range, not in it ($6). An uncorrelated IN is looked
# up in a hash table, whatever the planner knows of the table: new rows have no statistics yet.
_WANTED = "({seq} BETWEEN $3 AND $4 AND ({seq} IN (SELECT unnest($5::bigint[]))) = $6)"

FIND = f"""
SELECT s.topic_id, s.acked_up_to AS before, s.ack_revision AS revision, {UNREAD} AS unread, {EXPIRED} AS expired,
       below.first, below.count + (
           SELECT count(*) FROM ack_exceptions e
           WHERE e.subscription_id = s.id AND e.seq > s.acked_up_to AND e.seq >= s.first_seq
             AND {_WANTED.format(seq="e.seq")}
       ) AS count
FROM subscriptions s JOIN topics t ON t.id = s.topic_id
CROSS JOIN LATERAL (
    SELECT min(n.seq) AS first, count(*) AS count FROM notifications n
    WHERE n.topic_id = $2 AND n.seq >= s.first_seq AND n.seq <= s.acked_up_to AND {_WANTED.format(seq="n.seq")}
) AS below
WHERE s.id = $1
"""  # noqa: S608 - put together from constants

# What stays acknowledged between the new cursor ($1) and the one before ($7).
KEPT = f"""
SELECT n.seq FROM notifications n
WHERE n.topic_id = $2 AND n.seq > $1 AND n.seq <= $7 AND NOT {_WANTED.format(seq="n.seq")}
ORDER BY n.seq LIMIT {MAX_KEPT + 1}
"""  # noqa: S608 - put together from constants

_WRITE = f"""
WITH removed AS (
    DELETE FROM ack_exceptions e USING subscriptions s
    WHERE s.id = $1 AND s.topic_id = $2 AND e.subscription_id = s.id AND e.seq > s.acked_up_to
      AND e.seq >= s.first_seq AND {_WANTED.format(seq="e.seq")}
), excepted AS (
    INSERT INTO ack_exceptions (subscription_id, seq) SELECT $1, unnest($9::bigint[])
)
UPDATE subscriptions SET acked_up_to = $7, acked_total = acked_total - $8, ack_revision = ack_revision + 1
WHERE id = $1
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
        parameters = _parameters(row, topic, wanted)
        found = await connection.fetchrow(FIND, *parameters)
        cursor, count, revision = found["before"], found["count"], found["revision"]
        if count:
            kept: list[int] = []
            if found["first"] is not None:
                cursor = found["first"] - 1
                rows = await connection.fetch(KEPT, cursor, *parameters[1:], found["before"])
                kept = [one["seq"] for one in rows]
            if len(kept) > MAX_KEPT:
                raise Conflict(
                    f"More than {MAX_KEPT:,} notifications after it are acknowledged; it cannot become unread any"
                    " more.",
                    code="too_far_back",
                )
            await connection.execute(_WRITE, *parameters, cursor, count, kept)
            revision += 1
            await bus.send(connection, wakeups.acknowledged([(topic.id, principal.id)]))
    result = AckResult(
        topic=topic.name,
        acked_up_to=cursor,
        unread=found["unread"] + count,
        expired=found["expired"],
        revision=revision,
    )
    return result, count


def _parameters(row: int, topic: TopicRow, wanted: Unack) -> tuple[int, UUID, int, int, list[int], bool]:
    """Return the parameters $1 to $6 of the statements."""
    if wanted.seqs is not None:
        return row, topic.id, min(wanted.seqs), max(wanted.seqs), wanted.seqs, True
    return row, topic.id, (wanted.after or 0) + 1, wanted.up_to or 0, wanted.keep or [], False
