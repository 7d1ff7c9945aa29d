"""Reads small pages of many users' inboxes in two statements, of which the second joins each page's JSON as well.

Its cost has bounds. What needs more is left to :mod:`notifyx_store.readers.inbox`, whose pages are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import asyncpg

from notifyx_common.contracts.store.pages import MAX_SHARED_BYTES, InboxPageItem
from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal
from notifyx_store.log.unread import EXPIRED, UNREAD
from notifyx_store.readers.inbox import Shown, inbox_state, shown_to
from notifyx_store.readers.inbox_cursor import InboxCursor, position_after
from notifyx_store.readers.inbox_pages import joined_page
from notifyx_store.topics.permissions import emails_of
from notifyx_store.topics.rows import columns_for, topic_row

MAX_SUBSCRIPTIONS = 100
"""Subscriptions of a user whose pages are read with those of others."""

MAX_ROWS = 2_000
"""Rows that are looked at for such a page: nobody waits long for the page of another."""

# Of LIMIT PostgreSQL expects a tenth of the array, so that one plan is kept for all numbers of pages (see joins).
SUBSCRIBED_QUERY = f"""
SELECT wanted.user_id, wanted.emails, s.id AS subscription_id, s.first_seq, s.acked_up_to, {UNREAD} AS unread,
       {EXPIRED} AS expired,
       {columns_for("wanted.user_id", "wanted.emails")}
FROM (SELECT * FROM unnest($1::text[], $3::text[]) LIMIT cardinality($1::text[])) AS wanted(user_id, emails)
CROSS JOIN LATERAL (
    SELECT * FROM subscriptions mine WHERE mine.user_id = wanted.user_id AND mine.lasting AND mine.ended_at IS NULL
    LIMIT $2
) AS s
JOIN topics t ON t.id = s.topic_id
WHERE t.kind <> 'deleted' ORDER BY t.name
"""  # noqa: S608 - put together from constants

# Each subscription contributes its newest page, by time or by seq. The row beyond the page only tells that more follow.
INBOX_PAGES_QUERY = """
SELECT page.found, page.items, page.published_at, page.topic_id, page.seq
FROM (
    SELECT *
    FROM unnest($1::timestamptz[], $2::uuid[], $3::bigint[], $4::boolean[], $5::bigint[], $6::integer[], $7::integer[])
        WITH ORDINALITY
    LIMIT cardinality($5::bigint[])
) AS request(published_at, topic_id, seq, unread, size, first, last, position)
CROSS JOIN LATERAL (
    SELECT count(*) AS found,
           max(rows.published_at) FILTER (WHERE rows.number = request.size) AS published_at,
           (array_agg(rows.topic_id) FILTER (WHERE rows.number = request.size))[1] AS topic_id,
           max(rows.seq) FILTER (WHERE rows.number = request.size) AS seq,
           CASE WHEN sum(octet_length(rows.payload)) FILTER (WHERE rows.number <= request.size) <= $10 THEN
               string_agg(left(rows.payload, -1) || rows.acked, ',' ORDER BY rows.number)
                   FILTER (WHERE rows.number <= request.size)
           END AS items
    FROM (
        SELECT merged.*, row_number() OVER (ORDER BY published_at DESC, topic_id DESC, merged.seq DESC) AS number,
               CASE WHEN merged.seq <= merged.acked_up_to OR e.seq IS NOT NULL THEN ',"acked":true}'
                    ELSE ',"acked":false}' END AS acked
        FROM (
            SELECT s.id AS subscription_id, s.acked_up_to, found.*
            FROM (
                SELECT *
                FROM unnest(($8::bigint[])[request.first:request.last], ($9::boolean[])[request.first:request.last])
                LIMIT request.last - request.first + 1
            ) AS wanted(id, by_seq)
            JOIN subscriptions s ON s.id = wanted.id
            CROSS JOIN LATERAL (
                (SELECT n.payload, n.published_at, n.topic_id, n.seq FROM notifications n
                 WHERE NOT wanted.by_seq AND n.topic_id = s.topic_id AND n.seq >= s.first_seq
                   AND (n.published_at, n.topic_id, n.seq) < (request.published_at, request.topic_id, request.seq)
                 ORDER BY n.published_at DESC, n.seq DESC LIMIT request.size + 1)
                UNION ALL
                (SELECT n.payload, n.published_at, n.topic_id, n.seq
                 FROM (SELECT above.* FROM notifications above
                       LEFT JOIN ack_exceptions e ON e.subscription_id = s.id AND e.seq = above.seq
                       WHERE wanted.by_seq AND above.topic_id = s.topic_id AND above.seq >= s.first_seq
                         AND above.seq > CASE WHEN request.unread THEN s.acked_up_to ELSE 0 END
                         AND (e.seq IS NULL OR NOT request.unread)
                       OFFSET 0) AS n
                 WHERE (n.published_at, n.topic_id, n.seq) < (request.published_at, request.topic_id, request.seq)
                 ORDER BY n.published_at DESC, n.seq DESC LIMIT request.size + 1)
            ) AS found
            ORDER BY found.published_at DESC, found.topic_id DESC, found.seq DESC LIMIT request.size + 1
        ) AS merged
        LEFT JOIN ack_exceptions e ON e.subscription_id = merged.subscription_id AND e.seq = merged.seq
    ) AS rows
) AS page
ORDER BY request.position
"""


class _Request(NamedTuple):
    """One page: where it starts, which subscriptions its user sees, and those that it is read from.

    Of each of these: the id, and whether it is read by seq.
    """

    item: InboxPageItem
    start: InboxCursor
    shown: list[Shown]
    read: list[tuple[int, bool]]


async def read_inbox_pages(
    connection: asyncpg.Connection, wanted: Sequence[tuple[Principal, InboxPageItem]], *, max_unread: int
) -> list[bytes | None]:
    """Return each page as the JSON of :class:`notifyx_common.contracts.store.inbox.InboxPage`.

    ``None`` stands for what is to be asked for alone. ``max_unread`` notifications fill a user's inbox topic.
    """
    subscribed: dict[tuple[str, str], list[Shown]] = defaultdict(list)
    callers = sorted({(principal.id, emails_of(principal)) for principal, _ in wanted})
    users, emails = [user for user, _ in callers], [email for _, email in callers]
    for row in await connection.fetch(SUBSCRIBED_QUERY, users, MAX_SUBSCRIPTIONS + 1, emails):
        subscribed[row["user_id"], row["emails"]].append((row, topic_row(row)))
    requests = [_request(principal, item, subscribed[principal.id, emails_of(principal)]) for principal, item in wanted]
    rows = iter(await _read(connection, [request for request in requests if request is not None]))
    return [None if request is None else _page(request, next(rows), max_unread) for request in requests]


def _request(principal: Principal, item: InboxPageItem, subscribed: list[Shown]) -> _Request | None:
    if len(subscribed) > MAX_SUBSCRIPTIONS:
        return None
    try:
        principal.require_scope("read")
        start = position_after(item.after)
    except NotifyxError:
        return None
    shown = shown_to(principal, subscribed)
    read: list[tuple[int, bool]] = []
    rows = 0
    for row, topic in shown:
        if item.unread and not row["unread"]:
            continue
        by_seq, cost = _way(item, topic.last_seq, topic.pruned_seq, row["first_seq"], row["acked_up_to"])
        read.append((row["subscription_id"], by_seq))
        rows += cost
    return _Request(item, start, shown, read) if rows <= MAX_ROWS else None


def _way(item: InboxPageItem, last_seq: int, pruned_seq: int, first_seq: int, acked_up_to: int) -> tuple[bool, int]:
    """Return whether a subscription is better read by seq than by time, and how many rows that reads at most.

    By time a page is found soon, unless few of many are wanted: those from before the subscription are passed, too.
    """
    if item.unread:
        return True, last_seq - max(acked_up_to, first_seq - 1)
    since, earlier = last_seq - first_seq + 1, max(0, first_seq - 1 - pruned_seq)
    passed = earlier if since <= item.limit or item.after else 0
    by_time = min(since, item.limit + 1) + passed
    return since < by_time, min(since, by_time)


async def _read(connection: asyncpg.Connection, requests: Sequence[_Request]) -> list[asyncpg.Record]:
    if not requests:
        return []
    ends = list(accumulate(len(request.read) for request in requests))
    rows: list[asyncpg.Record] = await connection.fetch(
        INBOX_PAGES_QUERY,
        [request.start.published_at for request in requests],
        [request.start.topic_id for request in requests],
        [request.start.seq for request in requests],
        [request.item.unread for request in requests],
        [request.item.limit for request in requests],
        [end - len(request.read) + 1 for request, end in zip(requests, ends, strict=True)],
        ends,
        [subscription for request in requests for subscription, _ in request.read],
        [by_seq for request in requests for _, by_seq in request.read],
        MAX_SHARED_BYTES,
    )
    return rows


def _page(request: _Request, row: asyncpg.Record, max_unread: int) -> bytes | None:
    if row["found"] and row["items"] is None:  # too large
        return None
    more = row["found"] > request.item.limit
    following = InboxCursor(row["published_at"], row["topic_id"], row["seq"]).encode() if more else None
    return joined_page(row["items"] or "", {"next": following, **inbox_state(request.shown, max_unread)})
