"""Reads direct messages by person: whom a user exchanged them with, and both sides of one exchange.

A message is in its two persons' threads and in nobody else's: every statement begins with the caller. What retention,
``expires_at`` or a deletion has removed is not there, since each row is joined with the log. What deleted users sent is
one thread, :data:`DELETED`: its rows have no sender (:data:`NO_SENDER`).
"""

from __future__ import annotations

import asyncpg
import orjson

from notifyx_common.contracts.call import MAX_PAGE_BYTES
from notifyx_common.contracts.store.threads import DELETED, DELETED_NAME, MAX_LINE, Latest, Thread, ThreadsPage
from notifyx_store.log.direct import NO_SENDER
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.readers.inbox_pages import following, sized


def _one_side(sender: str, recipient: str, limit: str) -> str:
    """Return the SQL of the newest messages from ``sender`` to ``recipient`` below the position $2, $3, $4."""
    return f"""
(SELECT d.sender, d.recipient, d.topic_id, d.seq, d.published_at
 FROM direct_messages d
 JOIN notifications n ON n.topic_id = d.topic_id AND n.seq = d.seq
 JOIN topics t ON t.id = d.topic_id AND t.kind <> 'deleted'
 WHERE d.sender = {sender} AND d.recipient = {recipient} AND (d.published_at, d.topic_id, d.seq) < ($2, $3, $4)
 ORDER BY d.published_at DESC, d.seq DESC LIMIT {limit})
"""  # noqa: S608 - put together from constants


def _people(own: str, other: str) -> str:
    """Return the SQL of each ``other`` in the caller's rows: one index lookup a person, however long a thread is."""
    following = f"SELECT d.{other} FROM direct_messages d WHERE d.{own} = $1"  # noqa: S608 - constants
    return f"""
((({following} ORDER BY d.{other} LIMIT 1))
 UNION ALL
 SELECT ({following} AND d.{other} > scan.id ORDER BY d.{other} LIMIT 1)
 FROM {other}_scan AS scan WHERE scan.id IS NOT NULL)
"""  # noqa: S608 - put together from constants


def _sized(page: str, *, max_bytes: str) -> str:
    """As :func:`sized`, where ``page`` has no payloads."""
    payloads = f"""
    SELECT page.*, n.payload FROM ({page}) AS page
    JOIN notifications n ON n.topic_id = page.topic_id AND n.seq = page.seq
"""  # noqa: S608 - put together from constants
    return sized(payloads, max_bytes=max_bytes)


_THREADS = f"""
WITH RECURSIVE recipient_scan(id) AS {_people("sender", "recipient")},
sender_scan(id) AS {_people("recipient", "sender")},
people AS (SELECT id FROM recipient_scan WHERE id IS NOT NULL UNION SELECT id FROM sender_scan WHERE id IS NOT NULL)
{
    _sized(
        f'''
SELECT people.id AS other, latest.*
FROM people CROSS JOIN LATERAL (
    SELECT * FROM ({_one_side("$1", "people.id", "1")} UNION ALL {_one_side("people.id", "$1", "1")}) AS sides
    ORDER BY published_at DESC, topic_id DESC, seq DESC LIMIT 1
) AS latest
WHERE (latest.published_at, latest.topic_id, latest.seq) < ($5, $6, $7)
ORDER BY latest.published_at DESC, latest.topic_id DESC, latest.seq DESC LIMIT $8
''',
        max_bytes="$9",
    )
}"""  # noqa: S608 - put together from constants

# What is unread of an inbox is bounded, whatever its log holds.
_UNREAD = """
SELECT d.sender, count(*) AS unread
FROM subscriptions s JOIN topics t ON t.id = s.topic_id AND t.kind = 'inbox'
JOIN direct_messages d ON d.topic_id = t.id AND d.seq > s.acked_up_to AND d.sender = ANY($2::text[])
JOIN notifications n ON n.topic_id = d.topic_id AND n.seq = d.seq
WHERE s.user_id = $1 AND s.lasting AND s.ended_at IS NULL AND d.recipient = $1
  AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = d.seq)
GROUP BY d.sender
"""

# A message to oneself is on both sides; one of them shows it.
_THREAD = f"""
SELECT page.*, page.sender = $1 AS sent,
       CASE WHEN page.recipient = $1
            THEN coalesce(page.seq <= s.acked_up_to OR e.seq IS NOT NULL, false) END AS acked
FROM ({
    _sized(
        f'''
SELECT * FROM ({_one_side("$1", "$5", "$6")}
               UNION ALL
               SELECT * FROM {_one_side("$5", "$1", "$6")} AS received WHERE $5 <> $1) AS sides
ORDER BY published_at DESC, topic_id DESC, seq DESC LIMIT $6
''',
        max_bytes="$7",
    )
}) AS page
LEFT JOIN subscriptions s ON s.topic_id = page.topic_id AND s.user_id = $1 AND s.ended_at IS NULL
LEFT JOIN ack_exceptions e ON e.subscription_id = s.id AND e.seq = page.seq
ORDER BY page.published_at DESC, page.topic_id DESC, page.seq DESC
"""  # noqa: S608 - put together from constants


async def read_threads(
    connection: asyncpg.Connection, user: str, *, limit: int, after: InboxCursor = NEWEST
) -> ThreadsPage:
    """Return a page of the threads of ``user``, the one with the newest message first."""
    rows = await connection.fetch(_THREADS, user, *_bound(NEWEST), *_bound(after), limit + 1, MAX_PAGE_BYTES)
    page = rows[:limit]
    counts = await connection.fetch(_UNREAD, user, [row["other"] for row in page])
    unread = {row["sender"]: row["unread"] for row in counts}
    items = [_thread(row, user, unread.get(row["other"], 0)) for row in page]
    return ThreadsPage(items=items, next=following(page))


async def read_thread(
    connection: asyncpg.Connection, user: str, other: str, *, limit: int, after: InboxCursor = NEWEST
) -> bytes:
    """Return the JSON of :class:`notifyx_common.contracts.store.threads.ThreadPage`: of ``user`` with ``other``."""
    rows = await connection.fetch(_THREAD, user, *_bound(after), _sender(other), limit + 1, MAX_PAGE_BYTES)
    page = rows[:limit]
    items = ",".join(
        f'{row["payload"][:-1]},"sent":{_json(row["sent"])},"acked":{_json(row["acked"])}}}' for row in reversed(page)
    )
    return b'{"items":[%s],"next":%s}' % (items.encode(), _json(following(page)).encode())


def _bound(cursor: InboxCursor) -> tuple[object, ...]:
    return cursor.published_at, cursor.topic_id, cursor.seq


def _sender(other: str) -> str:
    return NO_SENDER if other == DELETED else other


def _thread(row: asyncpg.Record, user: str, unread: int) -> Thread:
    message = orjson.loads(row["payload"])
    sent = row["sender"] == user
    latest = Latest(
        topic=message["topic"],
        seq=message["seq"],
        title=message["title"],
        text=message["body"][:MAX_LINE],
        sent=sent,
        published_at=message["published_at"],
    )
    name = None if sent and row["other"] != user else message["publisher"]["name"]
    if row["other"] == NO_SENDER:
        return Thread(user=DELETED, name=DELETED_NAME, unread=unread, latest=latest)
    return Thread(user=row["other"], name=name or None, unread=unread, latest=latest)


def _json(value: bool | str | None) -> str:
    return orjson.dumps(value).decode()
