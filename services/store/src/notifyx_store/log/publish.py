"""Publishes a batch in one transaction and answers only after it is on disk.

Invariants. The topics' rows are locked, in the order of their ids, before anything is decided; so seqs are contiguous,
commit order is seq order, and a key or a batch that another transaction has just used is seen. A batch's answers are
recorded in its own transaction: a repeated batch gets the same answers, and nothing is published twice. Where nothing
is accepted there is no record, except of a repeated request: the first one may be carried out later, when what was
refused would be accepted, and its sender has been told otherwise.

A batch to topics that this replica knows is decided first, and written by one statement only if it finds all of that
still true once it has locked the rows (``publish_rows``). A refusal is never decided so.
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
from notifyx_common.errors import DeadlineExceeded, Unavailable
from notifyx_store.base.batches import ReadBatch, read_batch
from notifyx_store.base.bus import held
from notifyx_store.base.context import StoreContext
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.base.wakeups import new_rows
from notifyx_store.log import inbox_room
from notifyx_store.log.direct import WRITE_DIRECT, direct_rows, direct_wakeups
from notifyx_store.log.full_accounts import FullAccounts
from notifyx_store.log.known_topics import Heads, KnownTopics
from notifyx_store.log.publish_plan import (
    Candidate,
    EarlierPublish,
    KeyOf,
    PublishPlan,
    TopicRun,
    assign_seqs,
    validate,
)
from notifyx_store.log.publish_rows import WRITE, WRITE_AT_ONCE, rows_of
from notifyx_store.topics.rows import LOCK_TOPICS, lock_topic_rows, topics_for

# Runs after the rows are locked, so that it sees what an awaited transaction has committed.
READ_EARLIER = """
SELECT -1 AS position, NULL::bytea AS body_hash, results AS result FROM publish_batches WHERE batch_id = $1
UNION ALL
SELECT wanted.position - 1, used.body_hash, used.result
FROM (
    SELECT * FROM unnest($2::text[], $3::uuid[], $4::text[]) WITH ORDINALITY LIMIT cardinality($2::text[])
) AS wanted(publisher, topic_id, key, position)
JOIN idempotency used USING (publisher, topic_id, key)
"""

STATEMENTS = (LOCK_TOPICS, READ_EARLIER, inbox_room.UNREAD_OF_INBOXES, WRITE, WRITE_DIRECT, WRITE_AT_ONCE)
"""What runs while the rows of topics are locked."""

_DISCONNECTED = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    OSError,
)

_UNKNOWN = "The database was lost while it committed; it is not known whether this was published."

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
        self,
        context: StoreContext,
        metrics: StoreMetrics,
        offer: OfferCallback,
        origin: str,
        alarms: Alarms,
        full: FullAccounts,
    ) -> None:
        self._context = context
        self._metrics = metrics
        self._offer = offer
        self._origin = origin
        self._alarms = alarms
        self._full = full
        self._announce = context.database.config.announce
        self._known = KnownTopics()

    async def publish(self, data: Any, *, repeated: bool = False) -> bytes:
        """Publish a batch; return the answer as JSON. ``repeated``: it may have been sent before.

        Raises :class:`InvalidRequest` for a malformed batch (a malformed item is answered in its place), the driver's
        errors where the database is away and nothing was written, and :class:`DeadlineExceeded` where it was lost while
        it committed: the outcome is then unknown, and the batch can be sent again.
        While an alarm is on, each item is rejected with its reason, except those that were accepted earlier; a repeated
        batch is as a whole, since that cannot be recorded.
        """
        batch = read_batch(PublishBatch, PublishItem, data)
        for principal in batch.principals:
            self._context.pages.note(principal.id)
        async with self._context.pool.acquire() as connection:
            if (alarm := self._alarms.error()) is not None:
                return await self._answer_accepted(connection, batch, alarm, repeated=repeated)
            try:
                return await self._publish(connection, batch, repeated=repeated)
            except asyncpg.DiskFullError:
                # The transaction was rolled back, also where it failed at its commit.
                self._alarms.trip("storage")
                return await self._answer_accepted(connection, batch, StorageFull(), repeated=repeated)
            except asyncpg.UniqueViolationError:
                # The same batch was published at the same time, over other topics: the answer it recorded counts.
                if (record := await connection.fetchval(_RECORD, batch.batch_id)) is not None:
                    return _answer(record)
                raise

    async def _answer_accepted(
        self, connection: asyncpg.Connection, batch: ReadBatch[PublishItem], alarm: Unavailable, *, repeated: bool
    ) -> bytes:
        """Return the answers of what was accepted earlier, and ``alarm`` for the rest; nothing is written.

        Raises an alarm about the memory of this node where nothing was: another node may accept all of it. Raises any
        alarm for a repeated batch of which not everything was.
        """
        names = {item.topic for item in batch.items if isinstance(item, PublishItem)}
        candidates, rejected = validate(batch, await topics_for(connection, names, batch.principals))
        record, used = await self._read_earlier(connection, batch.batch_id, candidates)
        if record is not None:
            return _answer(record)
        accepted = [one for one in candidates if one.used_key in used]
        if (not accepted and isinstance(alarm, MemoryLow)) or (repeated and len(accepted) < len(batch.items)):
            raise alarm
        rest = dict.fromkeys(range(len(batch.items)), ItemError.of(alarm)) | rejected
        for one in accepted:
            del rest[one.position]
        plan = assign_seqs(len(batch.items), accepted, rest, used, {}, self._context.clock.now())
        return _answer(orjson.dumps(plan.results).decode())

    async def _publish(self, connection: asyncpg.Connection, batch: ReadBatch[PublishItem], *, repeated: bool) -> bytes:
        started = time.perf_counter()
        names = {item.topic for item in batch.items if isinstance(item, PublishItem)}
        with self._known.publishing(names) as heads:
            answer = await self._at_once(connection, batch, heads, started) if heads is not None else None
            return answer or await self._transaction(connection, batch, names, started, repeated=repeated)

    async def _at_once(
        self, connection: asyncpg.Connection, batch: ReadBatch[PublishItem], heads: Heads, started: float
    ) -> bytes | None:
        """Publish a batch of which each item is accepted and new, in one statement.

        Return ``None`` if it is not such a batch, or what is known has changed; then nothing was written.
        """
        candidates, rejected = validate(batch, heads.topics)
        now = self._context.clock.now()
        plan = assign_seqs(len(batch.items), candidates, rejected, {}, {}, now, heads.last_seqs, self._full.ids)
        if len(plan.seqs) < len(batch.items):
            return None
        results = orjson.dumps(plan.results).decode()
        announce = self._announce
        payloads = self._wakeups(plan)
        values = rows_of(plan, batch.batch_id, results, now, payloads if announce is None else [])
        previous = [run.first - 1 for run in plan.runs]
        states = [run.topic.state for run in plan.runs]
        try:
            written = await connection.fetchval(WRITE_AT_ONCE, *values, previous, states)
        except BaseException as error:
            # It may have been committed.
            self._known.distrust(heads.topics)
            if announce is not None:
                announce(payloads, False)
            if _loses_answer(error):
                raise DeadlineExceeded(_UNKNOWN) from error
            raise
        if not written:
            self._known.distrust(heads.topics)
            return None
        if announce is not None:
            announce(payloads, True)
        return self._committed(plan, results, now, started)

    async def _transaction(
        self,
        connection: asyncpg.Connection,
        batch: ReadBatch[PublishItem],
        names: set[str],
        started: float,
        *,
        repeated: bool,
    ) -> bytes:
        commits = False
        try:
            async with connection.transaction():
                topics = await lock_topic_rows(connection, names, batch.principals) if names else {}
                self._known.learn(topics.values())
                candidates, rejected = validate(batch, topics)
                record, used = await self._read_earlier(connection, batch.batch_id, candidates)
                if record is not None:
                    return _answer(record)
                now = self._context.clock.now()
                max_unread = self._context.settings.inbox_max_unread
                room = await inbox_room.inbox_room(connection, topics.values(), candidates, max_unread)
                plan = assign_seqs(len(batch.items), candidates, rejected, used, room, now, full=self._full.ids)
                results = orjson.dumps(plan.results).decode()
                if plan.runs or repeated:
                    payloads = held(connection, self._wakeups(plan))
                    await connection.fetch(WRITE, *rows_of(plan, batch.batch_id, results, now, payloads))
                    if direct := direct_rows(plan):
                        columns = map(list, zip(*direct, strict=True))
                        payloads = held(connection, direct_wakeups(direct))
                        await connection.fetch(WRITE_DIRECT, *columns, now, payloads)
                    commits = True
        except Exception as error:
            if commits and _loses_answer(error):
                raise DeadlineExceeded(_UNKNOWN) from error
            raise
        self._metrics.inbox_full.inc(plan.inbox_full)
        self._metrics.account_storage_full.inc(plan.account_full)
        return self._committed(plan, results, now, started)

    def _wakeups(self, plan: PublishPlan) -> list[str]:
        return new_rows([(run.topic.id, run.last) for run in plan.runs], self._origin)

    def _committed(self, plan: PublishPlan, results: str, now: datetime, started: float) -> bytes:
        """Offer what was committed to the feed, and count it; return the answer."""
        if plan.runs:
            self._known.published((run.topic, run.last) for run in plan.runs)
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
            READ_EARLIER, batch_id, [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]
        )
        record: str | None = None
        used: dict[KeyOf, EarlierPublish] = {}
        for row in rows:
            if row["position"] < 0:
                record = row["result"]
            else:
                used[keys[row["position"]]] = EarlierPublish(row["body_hash"], orjson.loads(row["result"]))
        return record, used


def _loses_answer(error: BaseException) -> bool:
    """Return whether ``error`` ended the connection: what was sent on it may have taken effect or not."""
    return isinstance(error, _DISCONNECTED) and not isinstance(error, asyncpg.QueryCanceledError)


def _answer(results: str) -> bytes:
    return b'{"results":' + results.encode() + b"}"
