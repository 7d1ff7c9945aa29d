"""What a read costs does not grow with what is unread: PostgreSQL reads as many rows for 20,000 unread as for 200."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from notifyx_common.clock import SystemClock
from notifyx_common.database import Database
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_local.postgres import Cluster
from notifyx_store.base.context import StoreContext
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.feed.queries import read_positions
from notifyx_store.maintenance.retention import remove_batch
from notifyx_store.readers import inbox
from notifyx_store.readers.acks import acknowledge
from notifyx_store.readers.inbox import read_inbox
from notifyx_store.readers.joins import join, unread
from notifyx_store.readers.subscriptions import subscribers, subscription
from support.postgres import create_migrated, drop_database
from support.store import SCHEMA, store_settings, user
from support.store_database import NOW, Topic, new_topic, turn_on

ANN, BOB = user("ann"), user("bob")

Read = Callable[[asyncpg.Connection, Topic, int], Awaitable[object]]

FEW, MANY = 200, 20_000

_ROWS_READ = """
SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::bigint
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
"""

_BLOCKS_READ = """
SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::bigint
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
"""

_PUBLISH = """
WITH moved AS (UPDATE topics SET last_seq = $2 WHERE id = $1)
INSERT INTO notifications (topic_id, seq, payload, publisher_id, published_at, expires_at)
SELECT $1, seq, json_build_object('seq', seq), 'publisher', $3::timestamptz + seq * interval '1 ms',
       CASE WHEN seq % 100 = 50 THEN $3 END
FROM generate_series(1, $2::bigint) AS seq
"""


@pytest.fixture
async def connection(postgres: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database with the store's tables."""
    url = await create_migrated(postgres, SCHEMA, fresh=True)
    opened = await asyncpg.connect(url)
    yield opened
    await opened.close()
    await drop_database(postgres, url)


class OneConnection:
    """A pool of one connection, whose transaction is open."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        yield self._connection


def context_of(connection: asyncpg.Connection) -> StoreContext:
    """A store's context on ``connection``."""

    class One(StoreContext):
        @property
        def pool(self) -> asyncpg.Pool:
            return OneConnection(connection)

    nowhere = cast("Database", None)
    clock, metrics = SystemClock(), Metrics()
    return One(store_settings("postgresql://unused/unused"), nowhere, clock, metrics, SecurityLog(metrics, clock))


async def topic_with(connection: asyncpg.Connection, count: int) -> Topic:
    """A topic of Ann's with ``count`` notifications, all unread to its subscriber Bob; some of them have expired."""
    topic = await new_topic(connection, creators=["ann"])
    await topic.subscribe("bob")
    await connection.execute(_PUBLISH, topic.id, count, NOW)
    while (await remove_batch(connection, topic.id, "expires_at", NOW)).more:
        pass
    return topic


async def cost(connection: asyncpg.Connection, read: Read, topic: Topic, count: int, measure: str = _ROWS_READ) -> int:
    """Return how many rows and index entries (or blocks of them) ``read`` makes PostgreSQL read."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        before: int = await connection.fetchval(measure)
        await read(connection, topic, count)
        after: int = await connection.fetchval(measure)
    finally:
        await transaction.rollback()
    return after - before


def one(item: dict[str, Any]) -> dict[str, Any]:
    """A batch of one item of Bob's."""
    return {"principals": [BOB.model_dump(mode="json")], "items": [{"p": 0, **item}]}


READS: dict[str, Read] = {
    "a join": lambda db, topic, _: join(context_of(db), one({"topic": topic.name})),
    "a resume": lambda db, topic, _: join(context_of(db), one({"topic": topic.name, "since": 1})),
    "a join without a subscription": lambda db, topic, _: join(
        context_of(db), {"principals": [ANN.model_dump(mode="json")], "items": [{"p": 0, "topic": topic.name}]}
    ),
    "an unread count": lambda db, topic, _: unread(context_of(db), {"items": [{"user": "bob", "topic": topic.name}]}),
    "a subscription": lambda db, topic, _: subscription(db, BOB, topic.name, NOW),
    "the subscribers": lambda db, topic, _: subscribers(db, ANN, topic.name, after="", limit=10),
    "the inbox": lambda db, topic, _: read_inbox(turn_on(db), BOB, unread_only=False, limit=10, max_unread=1),
    "the unread inbox": lambda db, topic, _: read_inbox(turn_on(db), BOB, unread_only=True, limit=10, max_unread=1),
    "a position": lambda db, topic, _: read_positions(db, [(topic.id, "bob")]),
    "one acknowledgement": lambda db, topic, count: acknowledge(
        context_of(db), StoreMetrics.of(Metrics()), one({"topic": topic.name, "seqs": [count - 1]})
    ),
}


async def test_reads_cost_the_same_whatever_is_unread(connection: asyncpg.Connection) -> None:
    costs: dict[str, list[int]] = {name: [] for name in READS}
    for count in (FEW, MANY):
        topic = await topic_with(connection, count)
        await connection.execute("ANALYZE")
        for name, read in READS.items():
            costs[name].append(await cost(connection, read, topic, count))
        await topic.unsubscribe("bob")
    # A block of the log may be counted, in each of a statement's two looks at it; the rest is as before.
    grown = {name: (few, many) for name, (few, many) in costs.items() if many > few + 2_200}
    assert not grown, grown


async def test_the_few_unread_of_a_long_log_are_found_without_reading_it(connection: asyncpg.Connection) -> None:
    costs: dict[int, list[int]] = {0: [], 3: []}
    for count in (FEW, MANY):
        topic = await topic_with(connection, count)
        for unread_ones in (3, 0):
            await topic.ack_up_to("bob", count - unread_ones)
            await connection.execute("ANALYZE")
            costs[unread_ones].append(await cost(connection, READS["the unread inbox"], topic, count, _BLOCKS_READ))
        await topic.unsubscribe("bob")
    assert all(many <= few + 40 for few, many in costs.values()), costs


async def test_a_page_of_many_subscriptions_reads_little_more_than_the_page(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = [await topic_with(connection, FEW) for _ in range(30)]
    await connection.execute("ANALYZE")
    everything = await cost(connection, READS["the unread inbox"], topics[0], FEW)
    monkeypatch.setattr(inbox, "READ_WHOLE", 2 * FEW)
    for read in ("the inbox", "the unread inbox"):
        read_rows = await cost(connection, READS[read], topics[0], FEW)
        assert read_rows < everything / 4, f"{read}: {read_rows} rows, where all unread are {everything}"


def test_the_fewest_unread_are_read_whole_as_far_as_all_together_are_not_too_many() -> None:
    assert inbox.read_whole([]) == []
    assert inbox.read_whole([900, 0, 1001, 5]) == [True, True, False, True]
    assert inbox.read_whole([900] * 20) == [True] * 11 + [False] * 9


async def test_the_number_is_exact(connection: asyncpg.Connection) -> None:
    topic = await topic_with(connection, MANY)
    context, metrics = context_of(connection), StoreMetrics.of(Metrics())
    gone = {seq for seq in range(1, MANY + 1) if seq % 100 == 50}
    for since in (0, 1, 49, 50, 1022, 1023, 1024, 5_000, MANY - 60, MANY):
        [result] = await join(context, one({"topic": topic.name, "since": since}))
        assert result["unread"] == MANY - len(gone)
        assert result["missing"] == sum(seq > since for seq in gone), since
    [acked] = await acknowledge(context, metrics, one({"topic": topic.name, "seqs": [3, MANY]}))
    assert (acked["acked_up_to"], acked["unread"]) == (0, MANY - len(gone) - 2)
    [acked] = await acknowledge(context, metrics, one({"topic": topic.name, "up_to": 10_000}))
    assert acked["unread"] == 10_000 - len([seq for seq in gone if seq > 10_000]) - 1
