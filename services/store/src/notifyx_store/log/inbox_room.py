"""How many more notifications the inboxes of a batch accept.

An inbox accepts as many as its user has not acknowledged, up to a maximum. What is unread is the rest of the ledger's
sum, from the user's subscription alone, and is not counted row by row: acknowledgements and retention may only make it
smaller meanwhile, and the row of the topic is locked against other publishes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg

from notifyx_store.log.publish_plan import Candidate
from notifyx_store.log.unread import UNREAD
from notifyx_store.topics.permissions import TopicRow

UNREAD_OF_INBOXES = f"""
SELECT t.id, {UNREAD} AS unread
FROM topics t JOIN subscriptions s ON s.topic_id = t.id AND s.lasting AND s.ended_at IS NULL
WHERE t.id = ANY($1::uuid[])
"""  # noqa: S608 - put together from constants


async def inbox_room(
    connection: asyncpg.Connection, topics: Iterable[TopicRow], candidates: Sequence[Candidate], max_unread: int
) -> dict[UUID, int]:
    """Return how many more those inboxes among ``topics``, whose rows are locked, accept that may become full."""
    inboxes = {topic.id: topic for topic in topics if topic.is_inbox}
    if not inboxes:
        return {}
    wanted = Counter(candidate.topic.id for candidate in candidates)
    # A log that holds fewer than the maximum cannot hold more that are unread.
    tight = [
        inbox.id
        for inbox in inboxes.values()
        if inbox.last_seq - inbox.pruned_seq + wanted[inbox.id] > max_unread_of(inbox, max_unread)
    ]
    if not tight:
        return {}
    rows = await connection.fetch(UNREAD_OF_INBOXES, tight)
    return {row["id"]: max_unread_of(inboxes[row["id"]], max_unread) - row["unread"] for row in rows}


def max_unread_of(inbox: TopicRow, max_unread: int) -> int:
    """Return how many unread notifications the inbox may hold."""
    return min(inbox.max_count, max_unread)
