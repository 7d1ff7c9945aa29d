"""The feed's SQL: heads, log pages and reader positions; each statement serves many topics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from notifyx_store.feed.core import FeedRow
from notifyx_store.log.unread import EXPIRED, UNREAD
from notifyx_store.topics.permissions import SettingsVersion

ROWS_PER_READ = 500
BYTES_PER_READ = 1 << 20
"""Limits of one read of one topic; the last notification may exceed the bytes."""

MAX_ACKED_SEQS = 1_000
"""Maximum number of single seqs (the newest) in an acknowledgement's frame."""

_HEADS = """
SELECT id, last_seq, updated_at, visibility FROM topics WHERE id = ANY($1::uuid[]) AND kind <> 'deleted'
"""

_ROWS = """
SELECT t.id, wanted.after, t.last_seq, t.updated_at, t.visibility, page.seq, page.payload, page.published_at, page.total
FROM unnest($1::uuid[], $2::bigint[]) AS wanted(topic_id, after)
JOIN topics t ON t.id = wanted.topic_id
LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT seq, payload, published_at, octet_length(payload) AS size,
               sum(octet_length(payload)) OVER (ORDER BY seq) AS total
        FROM (SELECT n.seq, n.payload, n.published_at FROM notifications n
              WHERE n.topic_id = t.id AND n.seq > greatest(wanted.after, t.pruned_seq) ORDER BY n.seq LIMIT $3) AS found
    ) AS sized WHERE total - size < $4
) AS page ON true
ORDER BY t.id, page.seq
"""

_POSITIONS = f"""
SELECT t.name, t.last_seq, s.user_id, s.acked_up_to, s.ack_revision, {UNREAD} AS unread, {EXPIRED} AS expired,
       array(SELECT e.seq FROM ack_exceptions e WHERE e.subscription_id = s.id ORDER BY e.seq DESC LIMIT $3) AS seqs
FROM unnest($1::uuid[], $2::text[]) AS wanted(topic_id, user_id)
JOIN topics t ON t.id = wanted.topic_id AND t.kind <> 'deleted'
JOIN subscriptions s ON s.topic_id = t.id AND s.user_id = wanted.user_id AND s.ended_at IS NULL
"""  # noqa: S608 - put together from constants

_PAIRS = """
SELECT topic_id, user_id FROM subscriptions
WHERE user_id = ANY($1::text[]) AND topic_id = ANY($2::uuid[]) AND ended_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class LogPage:
    """All existing rows of ``after + 1``..``upto``; the log ended at ``head``, with settings of ``version``."""

    topic: UUID
    after: int
    upto: int
    head: int
    items: list[FeedRow]
    version: SettingsVersion


@dataclass(frozen=True, slots=True)
class ReaderPosition:
    """A user's position in a topic: the cursor, the acknowledged seqs above it, the unread and expired counts.

    ``revision`` grows each time acknowledgements are taken back. ``head`` is the newest seq that is counted.
    """

    topic: str
    user: str
    up_to: int
    seqs: list[int]
    unread: int
    expired: int
    revision: int
    head: int


async def read_heads(connection: asyncpg.Connection, topics: Sequence[UUID]) -> dict[UUID, tuple[int, SettingsVersion]]:
    """Return the newest seq of each topic that exists, and the version of its settings."""
    rows = await connection.fetch(_HEADS, topics)
    return {row["id"]: (row["last_seq"], _version(row)) for row in rows}


async def read_pages(connection: asyncpg.Connection, wanted: Sequence[tuple[UUID, int]]) -> list[LogPage]:
    """Return the page that follows each ``(topic, after)``; a deleted topic has none."""
    rows = await connection.fetch(
        _ROWS, [topic for topic, _ in wanted], [after for _, after in wanted], ROWS_PER_READ, BYTES_PER_READ
    )
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row)
    return [_page(topic, of_topic) for topic, of_topic in found.items()]


async def read_positions(connection: asyncpg.Connection, pairs: Sequence[tuple[UUID, str]]) -> list[ReaderPosition]:
    """Return the positions of these (topic, user) pairs."""
    rows = await connection.fetch(
        _POSITIONS, [topic for topic, _ in pairs], [user for _, user in pairs], MAX_ACKED_SEQS
    )
    return [
        ReaderPosition(
            row["name"],
            row["user_id"],
            row["acked_up_to"],
            sorted(row["seqs"]),
            row["unread"],
            row["expired"],
            row["ack_revision"],
            row["last_seq"],
        )
        for row in rows
    ]


async def read_pairs(
    connection: asyncpg.Connection, users: Sequence[str], topics: Sequence[UUID]
) -> list[tuple[UUID, str]]:
    """Return the pairs of ``topics`` and ``users`` with an acknowledgement or a subscription."""
    return [(row["topic_id"], row["user_id"]) for row in await connection.fetch(_PAIRS, users, topics)]


def _page(topic: UUID, rows: Sequence[asyncpg.Record]) -> LogPage:
    items = [
        FeedRow(row["seq"], row["payload"], int(row["published_at"].timestamp() * 1000))
        for row in rows
        if row["seq"] is not None
    ]
    after, head = rows[0]["after"], rows[0]["last_seq"]
    cut = len(items) >= ROWS_PER_READ or (items and rows[-1]["total"] >= BYTES_PER_READ)
    # If no limit cut the read short, seqs that are missing up to the head have expired.
    upto = items[-1].seq if cut else max(head, after)
    return LogPage(topic, after, upto, head, items, _version(rows[0]))


def _version(row: asyncpg.Record) -> SettingsVersion:
    return SettingsVersion.of(row["updated_at"], row["visibility"])
