"""Reads a user's inbox: the notifications of all subscriptions, newest first, in pages.

The order is total (time, then topic, then seq), and a page's cursor is the position of its last item in that order.
So pages never repeat or skip what existed when the first was read, whatever is published meanwhile.
"""

from __future__ import annotations

import asyncpg

from notifyx_common.contracts.call import MAX_PAGE_BYTES
from notifyx_common.principal import Principal
from notifyx_store.log.inbox_room import max_unread_of
from notifyx_store.log.unread import EXPIRED, UNREAD
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.readers.inbox_pages import following, page_json, sized
from notifyx_store.topics.permissions import TopicRow, may_read
from notifyx_store.topics.rows import topic_row

_SUBSCRIBED = f"""
SELECT s.id AS subscription_id, s.first_seq, s.acked_up_to, {UNREAD} AS unread, {EXPIRED} AS expired, t.*
FROM subscriptions s JOIN topics t ON t.id = s.topic_id
WHERE s.user_id = $1 AND s.lasting AND s.ended_at IS NULL AND t.kind <> 'deleted' ORDER BY t.name
"""  # noqa: S608 - put together from constants

FEW_UNREAD = 1_000
"""Up to this many unread notifications of a subscription are read by their seqs, to find them in a long log."""

# Each subscription contributes its newest page from an index; the merge returns one page of all of them. By time it is
# found soon, unless few of many are wanted: then what follows the cursor is read whole (OFFSET 0 keeps it that way).
_MERGED = """
SELECT found.payload, found.published_at, found.topic_id, found.seq, found.acked
FROM unnest($1::bigint[], $8::boolean[]) AS wanted(id, few) JOIN subscriptions s ON s.id = wanted.id
CROSS JOIN LATERAL (
    (SELECT n.payload, n.published_at, n.topic_id, n.seq, n.seq <= s.acked_up_to OR e.seq IS NOT NULL AS acked
     FROM notifications n
     LEFT JOIN ack_exceptions e ON e.subscription_id = s.id AND e.seq = n.seq
     WHERE NOT wanted.few AND n.topic_id = s.topic_id AND n.seq >= s.first_seq
       AND (n.published_at, n.topic_id, n.seq) < ($2, $3, $4)
       AND (NOT $5 OR (n.seq > s.acked_up_to AND e.seq IS NULL))
     ORDER BY n.published_at DESC, n.seq DESC LIMIT $6)
    UNION ALL
    (SELECT n.payload, n.published_at, n.topic_id, n.seq, false AS acked
     FROM (SELECT * FROM notifications above
           WHERE wanted.few AND above.topic_id = s.topic_id AND above.seq >= s.first_seq AND above.seq > s.acked_up_to
             AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = above.seq)
           OFFSET 0) AS n
     WHERE (n.published_at, n.topic_id, n.seq) < ($2, $3, $4)
     ORDER BY n.published_at DESC, n.seq DESC LIMIT $6)
) AS found
ORDER BY found.published_at DESC, found.topic_id DESC, found.seq DESC LIMIT $6
"""

_PAGE = sized(_MERGED, most="$7")


async def read_shown(connection: asyncpg.Connection, principal: Principal) -> list[tuple[asyncpg.Record, TopicRow]]:
    """Return the subscriptions that the caller's inbox shows, each with its topic.

    A subscription stays when its user may no longer read the topic, but then shows nothing; a credential that is
    limited to some topics shows only those.
    """
    subscribed = await connection.fetch(_SUBSCRIBED, principal.id)
    covered = [(row, topic_row(row)) for row in subscribed if principal.covers_topic(row["name"])]
    return [(row, topic) for row, topic in covered if may_read(principal, topic)]


async def read_inbox(
    connection: asyncpg.Connection,
    principal: Principal,
    *,
    unread_only: bool,
    limit: int,
    max_unread: int,
    after: InboxCursor = NEWEST,
) -> bytes:
    """Return a page as the JSON of :class:`notifyx_common.contracts.store.inbox.InboxPage`.

    ``max_unread`` notifications fill the user's inbox topic.
    """
    shown = await read_shown(connection, principal)
    wanted = [row for row, _ in shown if row["unread"] or not unread_only]
    rows = await connection.fetch(
        _PAGE,
        [row["subscription_id"] for row in wanted],
        after.published_at,
        after.topic_id,
        after.seq,
        unread_only,
        limit + 1,
        MAX_PAGE_BYTES,
        [unread_only and row["unread"] <= FEW_UNREAD for row in wanted],
    )
    page = rows[:limit]
    others = {
        "next": following(page),
        "unread": {row["name"]: row["unread"] for row, _ in shown},
        "expired": {row["name"]: row["expired"] for row, _ in shown if row["expired"]},
        "inbox_full": any(topic.is_inbox and row["unread"] >= max_unread_of(topic, max_unread) for row, topic in shown),
    }
    return page_json([(row["payload"], row["acked"]) for row in page], others)
