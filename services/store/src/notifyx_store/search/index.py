"""Fills the index of search behind the log: writes which words occur in which range of a topic's seqs.

A publish does nothing for it. The end of a topic's last range is the index's position; what follows it, less than a
range unless the index is behind, is searched in the log itself. A range is written once and never changes, so that a
step which two replicas run at the same time does no harm. What PostgreSQL cannot divide into words is passed over,
which the log and a metric tell; a topic whose step fails otherwise comes again after the others.

Indexing may use a part of the time of one connection (``search_index_share``): after a step it rests, longer in
proportion to what the step took, so that a flood of publishes is not slowed down by its own index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from prometheus_client import Counter

from notifyx_common.background import Background, every
from notifyx_common.backoff import AROUND, Backoff
from notifyx_common.database import lost_as_unavailable
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_store.base.context import StoreContext
from notifyx_store.base.database import affected
from notifyx_store.base.locking import TRY_LOCK_SEARCH_INDEX

log = get_logger(__name__)

RANGE_SEQS = 16
"""Seqs of one range: its words are one row of the index, and a search reads it as a whole."""

RANGE_BYTES = 128 << 10
"""A range ends earlier where its notifications are large: a tsvector holds less than 1 MiB."""

SEQS_PER_STEP = 1024
"""Seqs that one step reads."""

STEP_BYTES = 2 << 20
"""Size of the notifications after which a step ends earlier: it has to be over before its statement times out."""

_TOPICS_PER_SCAN = 100
_RETRIES = Backoff(0.5, 30.0, jitter=AROUND)

INDEX_POSITION = """
greatest(t.pruned_seq, coalesce((SELECT max(r.last_seq) FROM search_ranges r WHERE r.topic_id = t.id), 0))
"""
"""The last seq of topic ``t`` that the index has, or that is gone."""

_BEHIND = f"""
SELECT t.id FROM topics t
WHERE t.last_seq >= {RANGE_SEQS} AND t.kind <> 'deleted' AND t.last_seq - {INDEX_POSITION} >= {RANGE_SEQS}
ORDER BY random() LIMIT {_TOPICS_PER_SCAN}
"""  # noqa: S608 - put together from constants

_SIZES = f"""
SELECT wanted.seq, coalesce(octet_length(n.payload), 0) AS size
FROM topics t
CROSS JOIN LATERAL (SELECT {INDEX_POSITION} AS seq) AS done
CROSS JOIN LATERAL generate_series(done.seq + 1, least(done.seq + $2, t.last_seq)) AS wanted(seq)
LEFT JOIN notifications n ON n.topic_id = t.id AND n.seq = wanted.seq
WHERE t.id = $1 ORDER BY wanted.seq
"""  # noqa: S608 - put together from constants

# Where nothing is left of a range it is written, too: the position moves past it.
_WRITE = """
WITH contents AS MATERIALIZED (
    SELECT ranges.first_seq, ranges.last_seq, n.seq, n.published_at, octet_length(n.payload) AS size,
           notifyx_search_text(n.payload) AS value
    FROM unnest($2::bigint[], $3::bigint[]) AS ranges(first_seq, last_seq)
    LEFT JOIN notifications n ON n.topic_id = $1 AND n.seq BETWEEN ranges.first_seq AND ranges.last_seq
), written AS (
    INSERT INTO search_ranges (topic_id, first_seq, last_seq, oldest_at, newest_at, bytes, words)
    SELECT $1, first_seq, last_seq, coalesce(min(published_at), 'epoch'), coalesce(max(published_at), 'epoch'),
           coalesce(sum(size), 0), strip(notifyx_search_words(coalesce(string_agg(value, ' '), '')))
    FROM contents GROUP BY first_seq, last_seq
    ON CONFLICT DO NOTHING RETURNING first_seq, last_seq, words IS NULL AS failed
)
SELECT c.seq FROM contents c JOIN written w USING (first_seq, last_seq)
WHERE c.seq IS NOT NULL AND (w.failed OR c.value IS NULL) ORDER BY c.seq
"""

REMOVED_PER_STEP = 5_000
"""Ranges that one statement removes: it has to be over before it times out, however many have become old at once."""

# Ranges of notifications that retention has removed, and those of topics that are gone. Only the oldest range of each
# topic is looked at to find them: its cost does not grow with the log.
_REMOVE = """
WITH RECURSIVE oldest AS (
    (SELECT topic_id, last_seq FROM search_ranges ORDER BY topic_id, last_seq LIMIT 1)
    UNION ALL
    SELECT following.topic_id, following.last_seq
    FROM oldest CROSS JOIN LATERAL (
        SELECT r.topic_id, r.last_seq FROM search_ranges r WHERE r.topic_id > oldest.topic_id
        ORDER BY r.topic_id, r.last_seq LIMIT 1) AS following
), gone AS (
    SELECT oldest.topic_id, CASE WHEN t.id IS NOT NULL THEN t.pruned_seq ELSE 9223372036854775807 END AS upto
    FROM oldest LEFT JOIN topics t ON t.id = oldest.topic_id AND t.kind <> 'deleted'
    WHERE t.id IS NULL OR oldest.last_seq <= t.pruned_seq
)
DELETE FROM search_ranges WHERE ctid = ANY(ARRAY(
    SELECT r.ctid FROM gone JOIN search_ranges r ON r.topic_id = gone.topic_id AND r.last_seq <= gone.upto LIMIT $1))
"""


def divide(sizes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the complete ranges of consecutive (seq, bytes), as (first, last); what is left is not enough for one."""
    ranges: list[tuple[int, int]] = []
    first: int | None = None
    total = 0
    for seq, size in sizes:
        if first is None:
            first = seq
        elif total + size > RANGE_BYTES:
            ranges.append((first, seq - 1))
            first, total = seq, 0
        total += size
        if seq - first + 1 == RANGE_SEQS or total >= RANGE_BYTES:
            ranges.append((first, seq))
            first, total = None, 0
    return ranges


def _first_bytes(sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    total = 0
    for seq, size in sizes:
        yield seq, size
        if (total := total + size) >= STEP_BYTES:
            return


async def index_topic(connection: asyncpg.Connection, topic: UUID, skipped: Counter) -> int:
    """Run one step for ``topic``; return the number of seqs that are indexed now and were not before.

    ``skipped`` counts the notifications that cannot be searched.
    """
    async with connection.transaction():
        if not await connection.fetchval(TRY_LOCK_SEARCH_INDEX):
            return 0  # another replica does it
        await connection.execute("SET LOCAL synchronous_commit = off")
        rows = await connection.fetch(_SIZES, topic, SEQS_PER_STEP)
        if not (ranges := divide(_first_bytes((row["seq"], row["size"]) for row in rows))):
            return 0
        rows = await connection.fetch(_WRITE, topic, [first for first, _ in ranges], [last for _, last in ranges])
    if seqs := [row["seq"] for row in rows]:
        skipped.inc(len(seqs))
        log.warning("notifications_not_searchable", topic_id=str(topic), count=len(seqs), first_seq=seqs[0])
    return ranges[-1][1] - ranges[0][0] + 1


async def index_rest(connection: asyncpg.Connection, topic: UUID) -> None:
    """Index what the index does not have of ``topic``, also less than a range, in the transaction of the caller."""
    while rows := await connection.fetch(_SIZES, topic, SEQS_PER_STEP):
        sizes = list(_first_bytes((row["seq"], row["size"]) for row in rows))
        ranges = divide(sizes)
        rest, last = ranges[-1][1] + 1 if ranges else sizes[0][0], sizes[-1][0]
        if rest <= last:
            ranges.append((rest, last))
        await connection.fetch(_WRITE, topic, [first for first, _ in ranges], [last for _, last in ranges])


async def topics_to_index(connection: asyncpg.Connection) -> list[UUID]:
    """Return some of the topics that the index is behind."""
    return [row["id"] for row in await connection.fetch(_BEHIND)]


async def remove_old_ranges(connection: asyncpg.Connection, limit: int = REMOVED_PER_STEP) -> int:
    """Remove up to ``limit`` ranges of notifications that are gone; return how many."""
    return affected(await connection.execute(_REMOVE, limit))


@asynccontextmanager
async def run_search_index(context: StoreContext, background: Background) -> AsyncIterator[None]:
    """Fill the index while the block is entered; wait while the database is away."""
    settings, clock = context.settings, context.clock
    skipped = context.metrics.counter("notifyx_search_skipped_total")
    waiting: list[UUID] = []
    next_removal = clock.monotonic() + settings.cleanup_every

    async def step() -> float:
        nonlocal next_removal
        async with context.pool.acquire() as connection:
            began = clock.monotonic()
            if began >= next_removal:
                removed = await remove_old_ranges(connection)
                next_removal = began if removed == REMOVED_PER_STEP else began + settings.cleanup_every
            if not waiting:
                waiting.extend(await topics_to_index(connection))
            if not waiting:
                return settings.search_index_poll
            topic = waiting.pop()
            if await index_topic(connection, topic, skipped):
                waiting.append(topic)
            spent = clock.monotonic() - began
        return spent * (1 / settings.search_index_share - 1)

    async with background.tasks() as tasks:
        rounds = every(
            None,
            lost_as_unavailable(step),
            away=(Unavailable, asyncpg.PostgresError),
            backoff=_RETRIES,
        )
        tasks.endless("search index", rounds)
        yield
