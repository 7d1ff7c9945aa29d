"""Publishes a batch in one transaction and answers only after it is on disk.

Invariants. The topics' rows are locked, in the order of their ids, before anything is decided; so seqs are contiguous,
commit order is seq order, and a key or a batch that another transaction has just used is seen. A batch's answers are
recorded in its own transaction: a repeated batch gets the same answers, and nothing is published twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from notifyx_common.alarms import Alarms, MemoryLow, StorageFull
from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.contracts.store.log import PublishBatch, PublishItem
from notifyx_common.errors import Unavailable
from notifyx_store.base import wakeups
from notifyx_store.base.batches import ReadBatch, read_batch
from notifyx_store.base.context import StoreContext
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.log import inbox_room
from notifyx_store.log.direct import WRITE_DIRECT, direct_rows, direct_wakeups
from notifyx_store.log.publish_plan import (
    Candidate,
    EarlierPublish,
    KeyOf,
    PublishPlan,
    TopicRun,
    assign_seqs,
    validate,
)
from notifyx_store.topics.rows import lock_topic_rows, read_topics

# Runs after the rows are locked, so that it sees what an awaited transaction has committed.
_READ_EARLIER = """
SELECT -1 AS position, NULL::bytea AS body_hash, results AS result FROM publish_batches WHERE batch_id = $1
UNION ALL
SELECT wanted.position - 1, used.body_hash, used.result
FROM unnest($2::text[], $3::uuid[], $4::text[]) WITH ORDINALITY AS wanted(publisher, topic_id, key, position)
JOIN idempotency used USING (publisher, topic_id, key)
"""

_WRITE = """
WITH moved AS (
    UPDATE topics SET last_seq = heads.last_seq FROM unnest($1::uuid[], $2::bigint[]) AS heads(id, last_seq)
    WHERE topics.id = heads.id
), logged AS (
    INSERT INTO notifications (topic_id, seq, payload, publisher_id, published_at, expires_at)
    SELECT topic_id, seq, payload, publisher_id, $8, expires_at
    FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[])
        AS rows(topic_id, seq, payload, publisher_id, expires_at)
), keyed AS (
    INSERT INTO idempotency (publisher, topic_id, key, body_hash, seq, result, created_at)
    SELECT publisher, topic_id, key, body_hash, seq, result, $8
    FROM unnest($9::text[], $10::uuid[], $11::text[], $12::bytea[], $13::bigint[], $14::text[])
        AS keys(publisher, topic_id, key, body_hash, seq, result)
), recorded AS (
    INSERT INTO publish_batches (batch_id, results, created_at) VALUES ($15, $16, $8)
)
""" + wakeups.notify("$17")  # noqa: S608 - constants of the code

STATEMENTS = (_READ_EARLIER, inbox_room.UNREAD_OF_INBOXES, _WRITE, WRITE_DIRECT)
"""What runs while the rows of topics are locked."""

_RECORD = "SELECT results FROM publish_batches WHERE batch_id = $1"


@dataclass(frozen=True, slots=True)
class Committed:
    """What a batch added to the log, for the feed."""

    runs: list[TopicRun]
    published_at: datetime


OfferCallback = Callable[[Committed], None]


class Publisher:
    """Publishes batches and offers what was committed to this replica's feed at once."""

    def __init__(
        self, context: StoreContext, metrics: StoreMetrics, offer: OfferCallback, origin: str, alarms: Alarms
    ) -> None:
        self._context = context
        self._metrics = metrics
        self._offer = offer
        self._origin = origin
        self._alarms = alarms

    async def publish(self, data: Any) -> bytes:
        """Publish a batch; return the answer as JSON.

        Raises :class:`InvalidRequest` for a malformed batch (a malformed item is answered in its place), and the
        driver's errors where the database is away: the outcome is then unknown, and the batch can be sent again.
        While an alarm is on, each item is rejected with its reason, except those that were accepted earlier.
        """
        batch = read_batch(PublishBatch, PublishItem, data)
        async with self._context.pool.acquire() as connection:
            if (alarm := self._alarms.error()) is not None:
                return await self._answer_accepted(connection, batch, alarm)
            try:
                return await self._transaction(connection, batch)
            except asyncpg.DiskFullError:
                # The transaction was rolled back, also where it failed at its commit.
                self._alarms.trip("storage")
                return await self._answer_accepted(connection, batch, StorageFull())
            except asyncpg.UniqueViolationError:
                # The same batch was published at the same time, over other topics: the answer it recorded counts.
                if (record := await connection.fetchval(_RECORD, batch.batch_id)) is not None:
                    return _answer(record)
                raise

    async def _answer_accepted(
        self, connection: asyncpg.Connection, batch: ReadBatch[PublishItem], alarm: Unavailable
    ) -> bytes:
        """Return the answers of what was accepted earlier, and ``alarm`` for the rest; nothing is written.

        Raises an alarm about the memory of this node where nothing was: another node may accept all of it.
        """
        names = {item.topic for item in batch.items if isinstance(item, PublishItem)}
        candidates, refused = validate(batch, await read_topics(connection, names))
        record, used = await self._read_earlier(connection, batch.batch_id, candidates)
        if record is not None:
            return _answer(record)
        accepted = [one for one in candidates if one.used_key in used]
        if not accepted and isinstance(alarm, MemoryLow):
            raise alarm
        rest = dict.fromkeys(range(len(batch.items)), ItemError.of(alarm)) | refused
        for one in accepted:
            del rest[one.position]
        plan = assign_seqs(len(batch.items), accepted, rest, used, {}, self._context.clock.now())
        return _answer(orjson.dumps(plan.results).decode())

    async def _transaction(self, connection: asyncpg.Connection, batch: ReadBatch[PublishItem]) -> bytes:
        started = time.perf_counter()
        names = {item.topic for item in batch.items if isinstance(item, PublishItem)}
        async with connection.transaction():
            topics = await lock_topic_rows(connection, names) if names else {}
            candidates, refused = validate(batch, topics)
            record, used = await self._read_earlier(connection, batch.batch_id, candidates)
            if record is not None:
                return _answer(record)
            now = self._context.clock.now()
            max_unread = self._context.settings.inbox_max_unread
            room = await inbox_room.inbox_room(connection, topics.values(), candidates, max_unread)
            plan = assign_seqs(len(batch.items), candidates, refused, used, room, now)
            results = orjson.dumps(plan.results).decode()
            if plan.runs:
                await self._write(connection, plan, batch.batch_id, results, now)
        self._metrics.inbox_full.inc(plan.inbox_full)
        if plan.runs:
            self._offer(Committed(plan.runs, now))
            self._metrics.published.inc(len(plan.seqs))
            self._metrics.batch_size.observe(len(plan.seqs))
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
        return _answer(results)

    async def _read_earlier(
        self, connection: asyncpg.Connection, batch_id: str, candidates: Sequence[Candidate]
    ) -> tuple[str | None, dict[KeyOf, EarlierPublish]]:
        """Return the recorded answer of this batch, if any, and the earlier uses of its keys."""
        keys = list({one.used_key: None for one in candidates if one.used_key is not None})
        rows = await connection.fetch(
            _READ_EARLIER, batch_id, [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]
        )
        record: str | None = None
        used: dict[KeyOf, EarlierPublish] = {}
        for row in rows:
            if row["position"] < 0:
                record = row["result"]
            else:
                used[keys[row["position"]]] = EarlierPublish(row["body_hash"], orjson.loads(row["result"]))
        return record, used

    async def _write(
        self, connection: asyncpg.Connection, plan: PublishPlan, batch_id: str, results: str, now: datetime
    ) -> None:
        keys = plan.keys
        heads = [(run.topic.id, run.last) for run in plan.runs]
        await connection.fetch(
            _WRITE,
            [topic for topic, _ in heads],
            [last for _, last in heads],
            plan.topic_ids,
            plan.seqs,
            plan.payloads,
            plan.publishers,
            plan.expiries,
            now,
            [key[0] for key, _, _, _ in keys],
            [key[1] for key, _, _, _ in keys],
            [key[2] for key, _, _, _ in keys],
            [digest for _, digest, _, _ in keys],
            [seq for _, _, seq, _ in keys],
            [result for _, _, _, result in keys],
            batch_id,
            results,
            wakeups.new_rows(heads, self._origin),
        )
        if direct := direct_rows(plan):
            await connection.fetch(WRITE_DIRECT, *map(list, zip(*direct, strict=True)), now, direct_wakeups(direct))


def _answer(results: str) -> bytes:
    return b'{"results":' + results.encode() + b"}"
