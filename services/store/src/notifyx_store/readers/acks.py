"""Acknowledges: moves the cursor of a (topic, user), and records the single seqs above it.

A batch is one transaction. It holds each topic's advisory lock shared, so that retention (which holds it exclusively)
never removes what is being counted, and locks the subscriptions' rows in the order of their ids. The cursor moves past
acknowledged and removed notifications; ``acked_total`` counts those that existed. What has expired is told until the
user acknowledges everything up to the last of it, or further: single seqs say nothing about others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from notifyx_common.contracts.store.acks import AckBatch, AckItem
from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.errors import InvalidRequest, NotifyxError
from notifyx_common.principal import Principal
from notifyx_store.base import bus, wakeups
from notifyx_store.base.batches import read_batch
from notifyx_store.base.context import StoreContext
from notifyx_store.base.errors import topic_not_found
from notifyx_store.base.locking import LOCK_SHARED
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.log.unread import FIRST_SEQ, UNREAD
from notifyx_store.topics.permissions import TopicRow, check_read
from notifyx_store.topics.rows import read_or_create

# A reader without a subscription gets a row too, with lasting = false; it starts at the oldest existing notification,
# and what is missing after that has expired, which is not told: it was gone before.
_CREATE_ROWS = f"""
INSERT INTO subscriptions (topic_id, user_id, lasting, email_mode, first_seq, acked_up_to, expired_total, expired_told,
                           created_at)
SELECT wanted.topic_id, wanted.user_id, false, 'never', oldest.seq, oldest.seq - 1,
       t.removed_total - oldest.seq + 1, t.removed_total - oldest.seq + 1, $3
FROM unnest($1::uuid[], $2::text[]) AS wanted(topic_id, user_id)
JOIN topics t ON t.id = wanted.topic_id
CROSS JOIN LATERAL (SELECT {FIRST_SEQ} AS seq) AS oldest
ORDER BY wanted.topic_id, wanted.user_id
ON CONFLICT (topic_id, user_id) WHERE ended_at IS NULL DO NOTHING
"""  # noqa: S608 - put together from constants

# Of LIMIT PostgreSQL expects a tenth of the array, so that it keeps one plan for all batches (see joins).
LOCK_QUERY = """
SELECT s.id, s.topic_id, s.user_id, s.ack_revision
FROM (SELECT * FROM unnest($1::uuid[], $2::text[]) LIMIT cardinality($1::uuid[])) AS wanted(topic_id, user_id)
JOIN subscriptions s ON s.topic_id = wanted.topic_id AND s.user_id = wanted.user_id AND s.ended_at IS NULL
ORDER BY s.id FOR UPDATE OF s
"""

ACK_QUERY = f"""
WITH base AS (
    SELECT s.id, s.topic_id, s.acked_up_to AS before, t.last_seq, s.expired_total, s.ack_revision AS revision,
           {UNREAD} AS unread,
           CASE WHEN request.up_to > 0 AND least(request.up_to, t.last_seq) >= s.expired_seq THEN s.expired_total
                ELSE s.expired_told END AS told,
           s.expired_told AS told_before,
           greatest(s.acked_up_to, least(request.up_to, t.last_seq)) AS upto
    FROM (SELECT * FROM unnest($1::bigint[], $2::bigint[]) LIMIT cardinality($1::bigint[])) AS request(id, up_to)
    JOIN subscriptions s ON s.id = request.id JOIN topics t ON t.id = s.topic_id
), fresh AS (
    SELECT DISTINCT b.id, n.seq
    FROM (SELECT * FROM unnest($3::bigint[], $4::bigint[]) LIMIT cardinality($3::bigint[])) AS one(id, seq)
    JOIN base b ON b.id = one.id AND one.seq > b.upto
    JOIN notifications n ON n.topic_id = b.topic_id AND n.seq = one.seq
    WHERE NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = b.id AND e.seq = one.seq)
), moved AS (
    SELECT b.id, b.before, b.unread, b.revision, b.told, b.told > b.told_before AS told_more,
        b.expired_total - b.told AS expired,
        (SELECT count(*) FROM notifications n
         WHERE n.topic_id = b.topic_id AND n.seq > b.before AND n.seq <= b.upto
           AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = b.id AND e.seq = n.seq))
        + (SELECT count(*) FROM fresh WHERE fresh.id = b.id) AS acked,
        coalesce((SELECT n.seq - 1 FROM notifications n
                  WHERE n.topic_id = b.topic_id AND n.seq > b.upto
                    AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = b.id AND e.seq = n.seq)
                    AND NOT EXISTS (SELECT 1 FROM fresh WHERE fresh.id = b.id AND fresh.seq = n.seq)
                  ORDER BY n.seq LIMIT 1), b.last_seq) AS cursor
    FROM base b
), absorbed AS (
    DELETE FROM ack_exceptions e USING moved m WHERE e.subscription_id = m.id AND e.seq <= m.cursor
), excepted AS (
    INSERT INTO ack_exceptions (subscription_id, seq)
    SELECT f.id, f.seq FROM fresh f JOIN moved m ON m.id = f.id WHERE f.seq > m.cursor ORDER BY f.id, f.seq
), written AS (
    UPDATE subscriptions s
    SET acked_up_to = m.cursor, acked_total = s.acked_total + m.acked, expired_told = m.told
    FROM moved m WHERE s.id = m.id AND (m.cursor <> m.before OR m.acked > 0 OR m.told_more)
)
SELECT m.id, m.cursor, m.acked, m.told_more, m.expired, m.unread - m.acked AS unread, m.revision FROM moved m
"""  # noqa: S608 - put together from constants


# Which seqs of a request ACK_QUERY would acknowledge.
_UNREAD = """
SELECT count(*)
FROM (SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[]) LIMIT cardinality($1::uuid[]))
    AS one(topic_id, user_id, seq)
JOIN subscriptions s ON s.topic_id = one.topic_id AND s.user_id = one.user_id AND s.ended_at IS NULL
    AND one.seq > s.acked_up_to
JOIN notifications n ON n.topic_id = one.topic_id AND n.seq = one.seq
WHERE NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = one.seq)
"""


@dataclass(slots=True)
class _AckRequest:
    """Everything that one user acknowledges in one topic in this batch.

    ``known``: what was acknowledged by a sender who named the revision it knows of, by that revision.
    """

    up_to: int = 0
    seqs: set[int] = field(default_factory=set)
    known: list[tuple[int, AckItem]] = field(default_factory=list)

    def add(self, item: AckItem) -> None:
        """Add ``item``."""
        if item.revision is not None:
            self.known.append((item.revision, item))
            return
        self.up_to = max(self.up_to, item.up_to or 0)
        self.seqs.update(item.seqs or ())

    def at(self, revision: int) -> _AckRequest:
        """Return what counts at ``revision``: without what was acknowledged before acknowledgements were taken back."""
        if not self.known:
            return self
        request = _AckRequest(self.up_to, set(self.seqs))
        for known, item in self.known:
            if known >= revision:
                request.add(item.model_copy(update={"revision": None}))
        return request


TopicUser = tuple[UUID, str]


async def acknowledge(context: StoreContext, metrics: StoreMetrics, data: Any) -> list[Any]:
    """Apply a batch; return an :class:`AckResult` or :class:`ItemError` (as dicts) for each item.

    Raises :class:`InvalidRequest` for a malformed batch.
    """
    batch = read_batch(AckBatch, AckItem, data)
    results: list[Any] = [one.model_dump() if isinstance(one, ItemError) else None for one in batch.items]
    items = [(position, one) for position, one in enumerate(batch.items) if isinstance(one, AckItem)]
    now = context.clock.now()
    async with context.pool.acquire() as connection:
        callers = [batch.principals[one] for one in sorted({item.p for _, item in items})]
        topics = await read_or_create(connection, (item.topic for _, item in items), callers, now)
        accepted: list[tuple[int, AckItem, TopicUser]] = []
        requests: dict[TopicUser, _AckRequest] = {}
        for position, item in items:
            principal = batch.principals[item.p]
            try:
                pair = (_check(item, principal, topics.get(item.topic)).id, principal.id)
            except NotifyxError as error:
                results[position] = ItemError.of(error).model_dump()
                continue
            requests.setdefault(pair, _AckRequest()).add(item)
            accepted.append((position, item, pair))
        states = await _apply(connection, requests, now) if requests else {}
    metrics.acked.inc(sum(state["acked"] for state in states.values()))
    for position, item, pair in accepted:
        state = states.get(pair)
        if state is None:  # the topic was deleted meanwhile
            results[position] = ItemError.of(topic_not_found(item.topic)).model_dump()
        else:
            results[position] = {
                "topic": item.topic,
                "acked_up_to": state["cursor"],
                "unread": state["unread"],
                "expired": state["expired"],
                "revision": state["revision"],
            }
    return results


async def acknowledge_mailed(
    context: StoreContext, metrics: StoreMetrics, wanted: Mapping[TopicUser, Collection[int]]
) -> int:
    """Acknowledge what an email told its reader of; return how many were not acknowledged before.

    A subscription that has ended is left alone.
    """
    requests = {pair: _AckRequest(seqs=set(seqs)) for pair, seqs in wanted.items()}
    pairs = sorted(requests)
    columns = [topic for topic, _ in pairs], [user for _, user in pairs]
    async with context.pool.acquire() as connection:
        states = await _transaction(connection, requests, columns, complete=False)
    acked: int = sum(state["acked"] for state in (states or {}).values())
    metrics.acked.inc(acked)
    return acked


async def count_unread(connection: asyncpg.Connection, wanted: Mapping[TopicUser, Collection[int]]) -> int:
    """Return how many notifications :func:`acknowledge_mailed` would acknowledge, and change nothing."""
    singles = [(topic, user, seq) for (topic, user), seqs in wanted.items() for seq in seqs]
    columns = [list(column) for column in zip(*singles, strict=True)] or [[], [], []]
    unread: int = await connection.fetchval(_UNREAD, *columns)
    return unread


async def _apply(
    connection: asyncpg.Connection, requests: dict[TopicUser, _AckRequest], now: datetime
) -> dict[TopicUser, asyncpg.Record]:
    pairs = sorted(requests)
    columns = [topic for topic, _ in pairs], [user for _, user in pairs]
    states = await _transaction(connection, requests, columns, complete=True)
    if states is None:
        # Rows are created before any is locked, so that locks are always acquired in the order of the ids.
        async with connection.transaction():
            await connection.execute(LOCK_SHARED, sorted(set(columns[0])))
            await connection.execute(_CREATE_ROWS, *columns, now)
        states = await _transaction(connection, requests, columns, complete=False)
        assert states is not None
    return states


async def _transaction(
    connection: asyncpg.Connection,
    requests: dict[TopicUser, _AckRequest],
    columns: tuple[list[UUID], list[str]],
    *,
    complete: bool,
) -> dict[TopicUser, asyncpg.Record] | None:
    """Return each pair's new position; ``None`` if ``complete`` is required and a pair has no row yet."""
    async with connection.transaction():
        await connection.execute(LOCK_SHARED, sorted(set(columns[0])))
        rows = await connection.fetch(LOCK_QUERY, *columns)
        if complete and len(rows) < len(requests):
            return None
        by_id = {row["id"]: (row["topic_id"], row["user_id"]) for row in rows}
        current = {row["id"]: requests[by_id[row["id"]]].at(row["ack_revision"]) for row in rows}
        states = await connection.fetch(ACK_QUERY, *_columns(current))
        changed = [by_id[state["id"]] for state in states if state["acked"] or state["told_more"]]
        if changed:
            await bus.send(connection, wakeups.acknowledged(changed))
    return {by_id[state["id"]]: state for state in states}


def _columns(requests: Mapping[int, _AckRequest]) -> tuple[Sequence[int], ...]:
    singles = [(row, seq) for row, request in requests.items() for seq in sorted(request.seqs)]
    return (
        list(requests),
        [request.up_to for request in requests.values()],
        [row for row, _ in singles],
        [seq for _, seq in singles],
    )


def _check(item: AckItem, principal: Principal, topic: TopicRow | None) -> TopicRow:
    if (item.up_to is None) == (item.seqs is None):
        raise InvalidRequest("Give either 'up_to' or 'seqs'.", code="validation_failed")
    principal.require_scope("read", item.topic)
    if topic is None:
        raise topic_not_found(item.topic)
    check_read(principal, topic)
    return topic
