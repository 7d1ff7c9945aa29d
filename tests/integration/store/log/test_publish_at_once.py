"""Publishes to topics that a replica knows: one statement, and never from what has changed meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from notifyx_common.alarms import Alarms
from notifyx_common.clock import SystemClock
from notifyx_common.database import Database
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_store.app import StoreNode
from notifyx_store.base.context import StoreContext
from notifyx_store.base.database import database_config
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.log.full_accounts import FullAccounts
from notifyx_store.log.publish import Publisher
from notifyx_store.log.publish_rows import WRITE_AT_ONCE
from notifyx_store.topics.rows import LOCK_TOPICS
from support.patience import PATIENCE
from support.platform import eventually
from support.postgres import sessions
from support.store import StoreClient, running_store, store_settings, user
from support.store_database import new_topic

ANN, BOB = user("ann"), user("bob")

_WAITING = "wait_event_type = 'Lock' AND starts_with($1, btrim(query, E' \\n'))"
"""Statements of which PostgreSQL shows the beginning."""

_BLOCKED = "wait_event_type = 'Lock' AND query NOT LIKE '%DELETE FROM publish_batches%'"
"""Sessions that wait for a lock, besides the clean-up, which runs when its time comes."""

_LOSE_COMMITS = """
CREATE FUNCTION lose_commit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER lose_commit AFTER INSERT ON notifications DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION lose_commit();
"""
"""PostgreSQL ends the session in the middle of a commit."""


@pytest.fixture
async def replicas(database: str) -> AsyncIterator[tuple[StoreClient, StoreClient]]:
    """Two replicas on one database; both know the topic ``news``, the second one from its own publish."""
    async with running_store(store_settings(database)) as one, running_store(store_settings(database)) as two:
        await one.ok("POST", "/topics", ANN, {"name": "news", "publishers": ["bob"]})
        yield one, two


async def publish(store: StoreClient, *items: dict[str, Any], batch_id: str = "", repeated: bool = False) -> list[Any]:
    """Publish for BOB; return the seqs, or the codes of errors."""
    whole = ({"topic": "news", "title": "a", **item} for item in items)
    results = await store.publish(BOB, *whole, batch_id=batch_id, repeated=repeated)
    return [result.get("seq", result.get("code")) for result in results]


async def until_blocked(admin: asyncpg.Connection, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await sessions(admin, _BLOCKED) != count:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("known", [False, True])
async def test_what_the_database_did_not_answer_is_not_refused(database: str, store: StoreClient, known: bool) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news", "publishers": ["bob"]})
    if known:
        assert await publish(store, {}) == [1]
    admin = await asyncpg.connect(database)
    try:
        await admin.execute(_LOSE_COMMITS)
        body = {
            "batch_id": uuid.uuid4().hex,
            "principals": [BOB.model_dump(mode="json")],
            "items": [{"p": 0, "topic": "news", "title": "a"}],
        }
        status, answer = await store.call("POST", "/publish", None, body)
        assert (status, answer["code"]) == (504, "deadline_exceeded"), "it may have been committed"
        await admin.execute("DROP TRIGGER lose_commit ON notifications; DROP FUNCTION lose_commit")
    finally:
        await admin.close()
    status, answer = await store.call("POST", "/publish", None, body)
    assert (status, answer["results"][0]["seq"]) == (200, 2 if known else 1)


async def test_what_another_replica_published_is_followed(replicas: tuple[StoreClient, StoreClient]) -> None:
    one, two = replicas
    found: list[int] = []
    for store in (one, one, two, two, one, one, two, one, one, one):
        found += await publish(store, {}, {})
    assert found == list(range(1, 21))
    both = await asyncio.gather(*(publish(store, {}) for store in replicas * 5))
    assert sorted(seq for seqs in both for seq in seqs) == list(range(21, 31))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"paused": True}, "topic_paused"),
        ({"publishers": []}, "not_a_publisher"),
        ({"visibility": "private", "publishers": []}, "topic_not_found"),
        (None, "topic_not_found"),
    ],
)
async def test_a_change_through_another_replica_counts_at_once(
    replicas: tuple[StoreClient, StoreClient], change: dict[str, Any] | None, refusal: str
) -> None:
    one, two = replicas
    assert [await publish(one, {}) for _ in range(3)] == [[1], [2], [3]]
    if change is None:
        await two.ok("DELETE", "/topics/news", ANN)
    else:
        await two.ok("PATCH", "/topics/news", ANN, change)
    assert await publish(one, {}) == [refusal]
    if change is None:
        await two.ok("POST", "/topics", ANN, {"name": "news", "publishers": ["bob"]})
        assert [await publish(one, {}), await publish(one, {})] == [[1], [2]]
        return
    await two.ok("PATCH", "/topics/news", ANN, {"paused": False, "publishers": ["bob"]})
    assert [await publish(one, {}), await publish(one, {})] == [[4], [5]], "nor is it refused from what was known"


@pytest.mark.parametrize(
    ("change", "found"),
    [("email_seq = email_seq", [4]), ("paused = true", ["topic_paused"]), ("last_seq = 5", [6])],
)
async def test_a_row_that_changes_while_its_lock_is_waited_for(
    database: str, replicas: tuple[StoreClient, StoreClient], change: str, found: list[Any]
) -> None:
    one, _ = replicas
    assert [await publish(one, {}) for _ in range(3)] == [[1], [2], [3]]
    other = await asyncpg.connect(database)
    try:
        async with other.transaction():
            await other.execute(f"UPDATE topics SET {change} WHERE name = 'news'")
            waiting = asyncio.create_task(publish(one, {}))
            await eventually(lambda: sessions(other, _WAITING, WRITE_AT_ONCE.strip()))
        assert await waiting == found
    finally:
        await other.close()


async def test_a_known_topic_is_refused_while_its_creator_stores_too_much(database: str) -> None:
    node = StoreNode(store_settings(database))
    async with running_store(node.settings, service=node) as store:
        await store.ok("POST", "/topics", ANN, {"name": "news", "publishers": ["bob"]})
        assert [await publish(store, {}) for _ in range(3)] == [[1], [2], [3]]
        node.full_accounts.ids = frozenset({"ann"})
        assert await publish(store, {}, {}) == ["account_storage_full"] * 2
        node.full_accounts.ids = frozenset({"bob"})
        assert await publish(store, {}) == [4], "whoever publishes is not charged"


async def test_keys_and_batches_are_used_once_by_all_replicas(replicas: tuple[StoreClient, StoreClient]) -> None:
    one, two = replicas
    assert [await publish(store, {"key": "k"}) for store in (one, one, two, one, two)] == [[1]] * 5
    assert await publish(one, {"key": "k", "title": "other"}, {"key": "l"}) == ["idempotency_conflict", 2]
    assert await publish(one, {"key": "m"}, {"key": "m"}, {}) == [3, 3, 4]
    batch = uuid.uuid4().hex
    assert [await publish(store, {}, {"topic": "none"}, batch_id=batch) for store in (one, one, two)] == [
        [5, "topic_not_found"]
    ] * 3
    other = uuid.uuid4().hex
    assert [await publish(store, {}, batch_id=other) for store in (one, one, two, one)] == [[6]] * 4
    await one.ok("POST", "/topics", ANN, {"name": "ops", "publishers": ["bob"]})
    assert await publish(one, {"topic": "ops"}) == [1]
    assert await publish(one, {"topic": "ops"}, batch_id=other) == [6], "the answer of the batch, whatever it holds"
    assert await publish(one, {"topic": "ops"}) == [2]


@pytest.mark.parametrize("known", [False, True])
async def test_a_batch_at_two_replicas_at_once_is_published_once(
    database: str, replicas: tuple[StoreClient, StoreClient], known: bool
) -> None:
    """The second one waits for the topic's row, then for the record, whichever statement it is in."""
    one, two = replicas
    published = [await publish(two, {}) for _ in range(3 if known else 0)]
    batch, admin = uuid.uuid4().hex, await asyncpg.connect(database)
    try:
        async with admin.transaction():
            await admin.execute("LOCK TABLE publish_batches IN SHARE MODE")  # the first cannot commit
            first = asyncio.create_task(publish(one, {}, {}, batch_id=batch))
            await until_blocked(admin, 1)
            second = asyncio.create_task(publish(two, {}, {}, batch_id=batch, repeated=True))
            await until_blocked(admin, 2)
        last = len(published)
        assert await first == await second == [last + 1, last + 2]
    finally:
        await admin.close()
    assert await publish(one, {}) == [last + 3]


async def test_a_refusal_of_a_copy_is_that_of_the_first_request_too(
    database: str, replicas: tuple[StoreClient, StoreClient]
) -> None:
    """Its publisher was told so; the first request would be accepted now."""
    one, two = replicas
    early, late, item = uuid.uuid4().hex, uuid.uuid4().hex, {"topic": "later"}
    assert await publish(two, item, batch_id=early, repeated=True) == ["topic_not_found"]
    admin = await asyncpg.connect(database)
    try:
        async with admin.transaction():
            await admin.execute("LOCK TABLE publish_batches IN SHARE MODE")
            copy = asyncio.create_task(publish(two, item, batch_id=late, repeated=True))
            await until_blocked(admin, 1)
            await one.ok("POST", "/topics", ANN, {"name": "later", "publishers": ["bob"]})
            first = asyncio.create_task(publish(one, item, batch_id=late))
            await until_blocked(admin, 2)
        outcome = await first
        assert await copy == outcome, "whoever records it first"
    finally:
        await admin.close()
    assert await publish(one, item, batch_id=early) == ["topic_not_found"]
    assert await publish(one, item) == [1 if outcome == ["topic_not_found"] else 2], "nothing else was published"


async def test_a_malformed_item_and_an_inbox_are_as_ever(replicas: tuple[StoreClient, StoreClient]) -> None:
    one, _ = replicas
    await one.make_inbox("ann")
    for first in (1, 3, 5):
        mixed = await publish(one, {}, {"priority": "x"}, {"topic": "user:ann"}, {})
        assert mixed == [first, "validation_failed", (first + 1) // 2, first + 1]


async def test_a_known_topic_takes_one_statement_and_none_is_planned_each_time(database: str) -> None:
    settings = store_settings(database)  # one use after the other has the same connection
    clock, metrics = SystemClock(), Metrics()
    async with Database(database_config(settings)) as entered:
        async with entered.pool.acquire() as connection:
            topic = await new_topic(connection, creators=["bob"])
        context = StoreContext(settings, entered, clock, metrics, SecurityLog(metrics, clock))
        alarms = Alarms(metrics, clock.monotonic)
        publisher = Publisher(context, StoreMetrics.of(metrics), lambda committed: None, "here", alarms, FullAccounts())

        async def publish(key: str | None = None) -> None:
            item = {"p": 0, "topic": topic.name, "title": "a", **({} if key is None else {"key": key})}
            batch = {"batch_id": uuid.uuid4().hex, "principals": [BOB.model_dump(mode="json")], "items": [item]}
            answer = orjson.loads(await publisher.publish(batch))
            assert "seq" in answer["results"][0]

        context.pages.note("reader")
        await publish()
        assert context.pages.others_at_work("reader"), "long pages of others rest for who publishes"
        seen: list[str] = []
        async with entered.pool.acquire() as connection:
            connection.add_query_logger(lambda record: seen.append(record.query))
        await publish()
        await publish("k")
        assert seen == [WRITE_AT_ONCE] * 2
        for number in range(7):  # PostgreSQL decides after the fifth
            await publish(str(number))
        async with entered.pool.acquire() as connection:
            for _ in range(7):
                await connection.fetch(LOCK_TOPICS, [topic.name], [])
            kept = dict(await connection.fetch("SELECT statement, generic_plans FROM pg_prepared_statements"))
        assert kept[WRITE_AT_ONCE] >= 4
        assert kept[LOCK_TOPICS] >= 2
