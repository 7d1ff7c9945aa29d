"""Reads what a user has acknowledged in a topic: the cursor, and a page of the single seqs above it."""

from __future__ import annotations

import asyncpg

from notifyx_common.contracts.store.acks import AckState
from notifyx_common.principal import Principal
from notifyx_store.log.history import MAX_SEQ
from notifyx_store.topics.permissions import TopicRow, check_read

PAGE = 1000
"""Maximum number of seqs in one answer."""

# One statement, so that the cursor and the seqs above it come from the same snapshot.
_STATE = """
SELECT s.acked_up_to, s.ack_revision, e.seq
FROM subscriptions s
LEFT JOIN LATERAL (
    SELECT seq FROM ack_exceptions WHERE subscription_id = s.id AND seq > $3 AND seq < $4 ORDER BY seq LIMIT $5
) AS e ON true
WHERE s.topic_id = $1 AND s.user_id = $2 AND s.ended_at IS NULL
ORDER BY e.seq
"""


async def read_ack_state(
    connection: asyncpg.Connection, principal: Principal, topic: TopicRow, *, after: int | None, before: int | None
) -> AckState:
    """Return the caller's cursor, and the single seqs in (``after``, ``before``) that were acknowledged.

    Raises :class:`NotFound` or :class:`Forbidden`.
    """
    check_read(principal, topic)
    bounds = after if after is not None else 0, before if before is not None else MAX_SEQ + 1
    rows = await connection.fetch(_STATE, topic.id, principal.id, *bounds, PAGE + 1)
    seqs = [row["seq"] for row in rows if row["seq"] is not None]
    return AckState(
        acked_up_to=rows[0]["acked_up_to"] if rows else 0,
        seqs=seqs[:PAGE],
        next=seqs[PAGE - 1] if len(seqs) > PAGE else None,
        revision=rows[0]["ack_revision"] if rows else 0,
    )
