"""Reads a page of what a search finds in one topic, in all topics of a user's inbox, or in their direct messages.

The index gives the ranges of the log in which all words occur; each notification in them is then compared with the
whole query (phrases, exclusions, what the caller may see), the newest range first. A page that takes too long ends
early, with the cursor to continue at: nobody holds a connection for longer, however rare the words are, and however
large the notifications. A batch whose statement takes too long is left to the next page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson
from prometheus_client import Counter

from notifyx_common.clock import Clock
from notifyx_common.contracts.call import MAX_PAGE_BYTES
from notifyx_common.errors import SEARCH_TIMEOUT, Unavailable
from notifyx_common.principal import Principal
from notifyx_store.readers.inbox import read_shown
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.readers.inbox_pages import page_json, position
from notifyx_store.search.index import INDEX_POSITION, RANGE_BYTES, RANGE_SEQS
from notifyx_store.search.query import Search, Term, compose
from notifyx_store.search.ranges import Finding, Range, Reading
from notifyx_store.topics.permissions import TopicRow
from notifyx_store.topics.rows import read_topics
from notifyx_topics.names import inbox_topic

MAX_RANGES = 512
"""Ranges of the index that one page considers, beside one of each topic."""

MAX_SENT = 4096
"""Direct messages of the caller that one page considers: each is a range of its own, since others' are beside it."""

MAX_TAIL_RANGES = 64
"""Ranges of a topic behind the index that one page considers."""

_LEXEMES = """
SELECT phraseto_tsquery('simple', notifyx_search_fold(term))::text
FROM unnest($1::text[]) WITH ORDINALITY AS terms(term, place) ORDER BY place
"""

_POSITION = "SELECT id, acked_up_to FROM subscriptions WHERE topic_id = $1 AND user_id = $2 AND ended_at IS NULL"

_INDEXED = """
WITH found AS MATERIALIZED (
    SELECT topic_id, first_seq, last_seq, oldest_at, newest_at, bytes FROM search_ranges
    WHERE topic_id = ANY($1::uuid[]) AND words @@ $3::tsquery AND oldest_at <= $4
)
SELECT found.* FROM found JOIN unnest($1::uuid[], $2::bigint[]) AS scope(topic_id, floor) USING (topic_id)
WHERE found.last_seq >= scope.floor
ORDER BY newest_at DESC, topic_id DESC, last_seq DESC LIMIT $5
"""

# What follows the last range of each topic, divided into ranges from the newest on. The notifications of those that are
# larger than a range of the index are listed.
_TAILS = f"""
SELECT t.id AS topic_id, seqs.first_seq, seqs.last_seq, seqs.place, content.oldest_at, content.newest_at, content.bytes,
       CASE WHEN content.bytes > {RANGE_BYTES} THEN content.singles END AS singles
FROM unnest($1::uuid[], $2::bigint[]) AS scope(topic_id, floor)
JOIN topics t ON t.id = scope.topic_id
CROSS JOIN LATERAL (SELECT greatest(scope.floor, {INDEX_POSITION} + 1) AS seq) AS start
CROSS JOIN LATERAL (
    SELECT greatest(start.seq, last - {RANGE_SEQS - 1}) AS first_seq, last AS last_seq, place
    FROM generate_series(t.last_seq, start.seq, -{RANGE_SEQS}) WITH ORDINALITY AS series(last, place) LIMIT $3
) AS seqs
CROSS JOIN LATERAL (
    SELECT min(n.published_at) AS oldest_at, max(n.published_at) AS newest_at, sum(n.bytes) AS bytes,
           array_agg((n.seq, n.published_at, n.bytes)) AS singles
    FROM (SELECT inside.seq, inside.published_at, octet_length(inside.payload) AS bytes FROM notifications inside
          WHERE inside.topic_id = t.id AND inside.seq BETWEEN seqs.first_seq AND seqs.last_seq
          ORDER BY inside.seq LIMIT {RANGE_SEQS}) AS n
) AS content
WHERE content.newest_at IS NOT NULL
"""  # noqa: S608 - put together from constants

# The newest first, whatever is left of them: what is gone is not found.
_SENT = """
SELECT page.*, coalesce(octet_length(n.payload), 0) AS bytes
FROM (
    SELECT d.topic_id, d.seq, d.published_at
    FROM direct_messages d JOIN topics t ON t.id = d.topic_id AND t.kind <> 'deleted'
    WHERE d.sender = $1 AND d.recipient <> $1 AND (d.published_at, d.topic_id, d.seq) < ($2, $3, $4)
    ORDER BY d.published_at DESC, d.topic_id DESC, d.seq DESC LIMIT $5
) AS page
LEFT JOIN notifications n ON n.topic_id = page.topic_id AND n.seq = page.seq
ORDER BY page.published_at DESC, page.topic_id DESC, page.seq DESC
"""

# CASE fixes the order of the conditions: most notifications fail the cheap one. The LIMIT lets the planner know that a
# range is small.
_MATCHES = f"""
SELECT n.payload, n.published_at, n.topic_id, n.seq, n.publisher_id,
       n.seq <= ranges.acked_up_to OR e.seq IS NOT NULL AS acked
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS ranges(topic_id, first_seq, last_seq, subscription_id, acked_up_to)
CROSS JOIN LATERAL (
    SELECT * FROM notifications inside
    WHERE inside.topic_id = ranges.topic_id AND inside.seq BETWEEN ranges.first_seq AND ranges.last_seq
    ORDER BY inside.seq LIMIT {RANGE_SEQS}
) AS n
LEFT JOIN ack_exceptions e ON e.subscription_id = ranges.subscription_id AND e.seq = n.seq
CROSS JOIN LATERAL (SELECT notifyx_search_text(n.payload) AS value OFFSET 0) AS content
WHERE (n.published_at, n.topic_id, n.seq) < ($6, $7, $8)
  AND (NOT $9 OR (n.seq > ranges.acked_up_to AND e.seq IS NULL))
  AND CASE WHEN content.value LIKE ALL ($10::text[]) THEN notifyx_search_words(content.value) @@ $11::tsquery
           ELSE false END
ORDER BY n.published_at DESC, n.topic_id DESC, n.seq DESC LIMIT $12
"""  # noqa: S608 - put together from constants

_LIMIT = "SELECT set_config('statement_timeout', $1, true)"

_STATEMENT = 4.0
"""Timeout of one statement, in times of a page: the first ones may have to read a cold index."""

_MAX_OVERRUN = 2.0
"""When a page ends that has not advanced, in times of a page."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A topic to search: from ``floor`` on; ``subscription`` and ``acked_up_to`` tell what is acknowledged."""

    topic_id: UUID
    floor: int = 0
    subscription: int | None = None
    acked_up_to: int = 0


async def inbox_scopes(connection: asyncpg.Connection, principal: Principal) -> list[Scope]:
    """Return the scopes of what the caller's inbox shows."""
    return [
        Scope(topic.id, row["first_seq"], row["subscription_id"], row["acked_up_to"])
        for row, topic in await read_shown(connection, principal)
    ]


async def topic_scope(connection: asyncpg.Connection, principal: Principal, topic: TopicRow) -> Scope:
    """Return the scope of one topic, which the caller may read."""
    row = await connection.fetchrow(_POSITION, topic.id, principal.id)
    return Scope(topic.id) if row is None else Scope(topic.id, 0, row["id"], row["acked_up_to"])


async def direct_scopes(connection: asyncpg.Connection, principal: Principal) -> list[Scope]:
    """Return the scope of the direct messages that the caller received, if they have an inbox."""
    inbox = inbox_topic(principal.id)
    topic = (await read_topics(connection, [inbox])).get(inbox)
    return [] if topic is None else [await topic_scope(connection, principal, topic)]


async def understand(connection: asyncpg.Connection, terms: Sequence[Term]) -> Search:
    """Return the search of ``terms``. Raises :class:`InvalidRequest` where it cannot find anything."""
    rows = await connection.fetch(_LEXEMES, [term.text for term in terms])
    return compose(terms, [row[0] for row in rows])


async def read_found(
    connection: asyncpg.Connection,
    scopes: Sequence[Scope],
    search: Search,
    *,
    unread_only: bool,
    limit: int,
    clock: Clock,
    seconds: float,
    counted: Counter,
    after: InboxCursor = NEWEST,
    sender: str | None = None,
) -> bytes:
    """Return a page as the JSON of :class:`notifyx_common.contracts.store.search.FoundPage`.

    With ``sender``, who is the caller, what they sent as direct messages is searched beside ``scopes``.
    After ``seconds`` the page ends, even where it has found less than ``limit``, or nothing; ``counted`` counts how
    pages end. Raises :class:`Unavailable` where it has not got anywhere by then.
    """
    began = clock.monotonic()
    result = "found"
    reading: Reading | None = None
    scope_of = {scope.topic_id: scope for scope in scopes}
    try:
        # One snapshot: what the index gains meanwhile is still behind it here.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(_LIMIT, str(max(1, int(seconds * _STATEMENT * 1000))))
            reading = await _begin(connection, list(scope_of.values()), search, after, sender)
            while len(reading.settled()) <= limit and (batch := reading.batch()):
                columns = [scope_of.get(one.topic_id) or Scope(one.topic_id) for one in batch]
                rows = await connection.fetch(
                    _MATCHES,
                    [one.topic_id for one in batch],
                    [max(one.first_seq, scope.floor) for one, scope in zip(batch, columns, strict=True)],
                    [one.last_seq for one in batch],
                    [scope.subscription for scope in columns],
                    [scope.acked_up_to for scope in columns],
                    after.published_at,
                    after.topic_id,
                    after.seq,
                    unread_only,
                    [f"%{part}%" for part in search.parts],
                    search.exact,
                    limit + 1,
                )
                reading.add(_finding(row) for row in rows)
                spent = clock.monotonic() - began
                if spent >= seconds and (reading.advanced or spent >= seconds * _MAX_OVERRUN):
                    result = "early"
                    break
    except asyncpg.QueryCanceledError:
        result = "early"
        if reading is not None:
            reading.give_back()
    if reading is None or (result == "early" and not reading.advanced):
        counted.labels("timeout").inc()
        raise Unavailable("This search took too long. Give more words, or longer ones.", code=SEARCH_TIMEOUT)
    counted.labels(result).inc()
    found, cursor = reading.page(limit, MAX_PAGE_BYTES)
    following = cursor.encode() if cursor is not None else None
    if sender is None:
        return page_json([(one.payload, one.acked) for one in found], {"next": following})
    items = ",".join(_direct_json(one, sender, elsewhere=one.position.topic_id not in scope_of) for one in found)
    return b'{"items":[%s],"next":%s}' % (items.encode(), orjson.dumps(following))


def _direct_json(finding: Finding, caller: str, *, elsewhere: bool) -> str:
    """Return a direct message as a thread has it."""
    facts = {"sent": finding.sender == caller, "acked": None if elsewhere else finding.acked}
    return f"{finding.payload[:-1]},{orjson.dumps(facts).decode()[1:]}"


async def _begin(
    connection: asyncpg.Connection, scopes: Sequence[Scope], search: Search, after: InboxCursor, sender: str | None
) -> Reading:
    columns = [scope.topic_id for scope in scopes], [scope.floor for scope in scopes]
    # A position lies in about one range of each topic; all of those have to be read before a page can end.
    limit = MAX_RANGES + len(scopes)
    rows = await connection.fetch(_INDEXED, *columns, search.anywhere, after.published_at, limit + 1)
    indexed = [_range(row) for row in rows]
    rows = await connection.fetch(_TAILS, *columns, MAX_TAIL_RANGES + 1)
    tails = [(row["place"], one) for row in rows for one in _tail(row)]
    listed = [*indexed[:limit], *(one for place, one in tails if place <= MAX_TAIL_RANGES)]
    unlisted = [*indexed[limit:], *(one for place, one in tails if place > MAX_TAIL_RANGES)]
    if sender is not None:
        rows = await connection.fetch(_SENT, sender, after.published_at, after.topic_id, after.seq, MAX_SENT + 1)
        sent = [_single(row["topic_id"], row["seq"], row["published_at"], row["bytes"]) for row in rows]
        listed += sent[:MAX_SENT]
        unlisted += sent[MAX_SENT:]
    return Reading.begin(listed, unlisted, after)


def _range(row: asyncpg.Record) -> Range:
    return Range(row["topic_id"], row["first_seq"], row["last_seq"], row["oldest_at"], row["newest_at"], row["bytes"])


def _tail(row: asyncpg.Record) -> list[Range]:
    if row["singles"] is None:
        return [_range(row)]
    return [_single(row["topic_id"], seq, at, size) for seq, at, size in row["singles"]]


def _single(topic_id: UUID, seq: int, at: datetime, size: int) -> Range:
    return Range(topic_id, seq, seq, at, at, size)


def _finding(row: asyncpg.Record) -> Finding:
    return Finding(position(row), row["payload"], row["acked"], row["publisher_id"])
