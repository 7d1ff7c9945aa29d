"""Reads pages of a topic's log. Notifications are stored as JSON and joined as they are, not encoded again."""

from __future__ import annotations

import asyncpg
import orjson

from notifyx_common.contracts.call import MAX_PAGE_BYTES
from notifyx_store.log.unread import FIRST_SEQ
from notifyx_store.topics.permissions import TopicRow

# One statement, so that the page and its bounds come from the same snapshot. OFFSET 0 has the oldest seq found once,
# not for each row of the page. What retention has removed stays in the index until it is vacuumed: nobody starts there.
_PAGE = f"""
SELECT t.last_seq, t.first_seq, page.seq, page.payload
FROM (SELECT t.id, t.last_seq, t.pruned_seq, {FIRST_SEQ} AS first_seq FROM topics t WHERE t.id = $1 OFFSET 0) AS t
LEFT JOIN LATERAL (
    SELECT seq, payload FROM (
        SELECT seq, payload, sum(octet_length(payload)) OVER (ORDER BY seq {{order}}) - octet_length(payload) AS before
        FROM (SELECT n.seq, n.payload FROM notifications n
              WHERE n.topic_id = t.id AND n.seq > greatest($2, t.pruned_seq) AND n.seq < $3
              ORDER BY n.seq {{order}} LIMIT $4) AS found
    ) AS sized WHERE before < $5
) AS page ON true
ORDER BY page.seq
"""  # noqa: S608 - put together from constants
_FORWARD = _PAGE.format(order="ASC")
_BACKWARD = _PAGE.format(order="DESC")

MAX_SEQ = 2**53


async def read_history(
    connection: asyncpg.Connection, topic: TopicRow, *, after: int | None, before: int | None, limit: int
) -> bytes:
    """Return the JSON of :class:`notifyx_common.contracts.store.log.History`: up to ``limit`` notifications, ascending.

    They follow ``after``; without it they are the newest, or the newest before ``before``.
    """
    rows = await connection.fetch(
        _BACKWARD if after is None else _FORWARD,
        topic.id,
        after if after is not None else 0,
        before if before is not None else MAX_SEQ + 1,
        limit,
        MAX_PAGE_BYTES,
    )
    found = [row for row in rows if row["seq"] is not None]
    last_seq = rows[0]["last_seq"] if rows else topic.last_seq
    return history_json(
        ",".join(row["payload"] for row in found),
        first_seq=rows[0]["first_seq"] if rows else last_seq + 1,
        last_seq=last_seq,
        newest=found[-1]["seq"] if found else None,
        before=before,
    )


def history_json(items: str, *, first_seq: int, last_seq: int, newest: int | None, before: int | None) -> bytes:
    """Return the JSON of a page: ``items`` are its notifications, of which ``newest`` is the last one's seq."""
    # The page that follows one read backward begins where this one ends, too.
    following = newest if newest is not None and newest < min(last_seq, (before or MAX_SEQ) - 1) else None
    return b'{"items":[%s],"first_seq":%d,"last_seq":%d,"next":%s}' % (
        items.encode(),
        first_seq,
        last_seq,
        orjson.dumps(following),
    )
