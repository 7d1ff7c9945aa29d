"""Pages of a log, alone and read with those of others: the same, and only for those who may read."""

from __future__ import annotations

import random
import uuid
from typing import Any

import asyncpg
import orjson

from notifyx_common.contracts.store.pages import MAX_SHARED, MAX_SHARED_BYTES, LogPageItem
from notifyx_common.principal import Principal, system_principal
from notifyx_store.log.history import read_history
from notifyx_store.log.history_pages import LOG_PAGES_QUERY, read_log_pages
from notifyx_store.topics.rows import read_topic
from support.store import StoreClient, user
from support.store_database import Topic, new_topic

ANN = Principal(id="ann")


def item(topic: Topic | str, limit: int = 20, **where: int | None) -> LogPageItem:
    return LogPageItem(p=0, topic=topic if isinstance(topic, str) else topic.name, limit=limit, **where)


async def test_pages_read_together_are_those_read_alone(pool: asyncpg.Pool) -> None:
    choose = random.Random(7)
    topics = [await new_topic(pool) for _ in range(3)]
    for topic, count in zip(topics, (0, 1, 12), strict=True):
        if count:
            await topic.publish(count)
    await pool.execute("DELETE FROM notifications WHERE topic_id = $1 AND seq IN (4, 5, 12)", topics[2].id)
    bounds = [None, *range(15)]
    asked = [
        item(choose.choice(topics), choose.randint(1, 15), after=choose.choice(bounds), before=choose.choice(bounds))
        for _ in range(200)
    ]
    async with pool.acquire() as connection:
        for start in range(0, len(asked), MAX_SHARED):
            some = asked[start : start + MAX_SHARED]
            pages = await read_log_pages(connection, [(ANN, one) for one in some])
            for one, page in zip(some, pages, strict=True):
                row = await read_topic(connection, one.topic)
                assert page == await read_history(
                    connection, row, after=one.after, before=one.before, limit=one.limit
                ), one


async def test_without_bounds_a_page_is_the_newest(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.publish(7)
    async with pool.acquire() as connection:
        [page] = await read_log_pages(connection, [(ANN, item(topic, 3))])
        row = await read_topic(connection, topic.name)
        alone = await read_history(connection, row, after=None, before=None, limit=3)
    for newest in (orjson.loads(page or b""), orjson.loads(alone)):
        assert ([one["seq"] for one in newest["items"]], newest["next"]) == ([5, 6, 7], None)


async def test_what_is_large_or_may_not_be_read_is_asked_for_alone(pool: asyncpg.Pool) -> None:
    topic, secret = await new_topic(pool), await new_topic(pool)
    await topic.publish(2, body="x" * (MAX_SHARED_BYTES // 2))
    await secret.publish(1)
    await pool.execute("UPDATE topics SET visibility = 'private' WHERE id = $1", secret.id)
    narrow = ANN.model_copy(update={"kind": "api_key", "topics": ("other",)})
    asked = [
        (ANN, item(topic)),
        (ANN, item(topic, 1)),
        (narrow, item(topic, 1)),
        (ANN, item(secret)),
        (system_principal("gateway"), item(secret)),
        (ANN, item("no.such.topic")),
        (ANN, item("user:ann")),
    ]
    async with pool.acquire() as connection:
        pages = await read_log_pages(connection, asked)
    found = [None if page is None else [one["seq"] for one in orjson.loads(page)["items"]] for page in pages]
    assert found == [None, [2], None, None, [1], None, None]


async def test_pages_of_logs_are_not_planned_each_time(fresh_pool: asyncpg.Pool) -> None:
    topic = await new_topic(fresh_pool)
    async with fresh_pool.acquire() as connection:
        for count in (1, 1, 1, 2, 5, 2, 1):  # PostgreSQL decides after the fifth
            await read_log_pages(connection, [(ANN, item(topic))] * count)
        kept = "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1"
        assert await connection.fetchval(kept, LOG_PAGES_QUERY) == 2


async def test_what_is_malformed_fails_alone(store: StoreClient) -> None:
    ada, bob = user("ada"), user("bob")
    name = f"t.{uuid.uuid4().hex[:8]}"
    await store.ok("POST", "/topics", ada, {"name": name})
    await store.publish(ada, {"topic": name, "title": "one"})
    people = [one.model_dump(mode="json") for one in (ada, bob)]

    async def ask(kind: str, *items: dict[str, Any]) -> Any:
        return await store.ok("POST", f"/pages/{kind}", None, {"principals": people, "items": items})

    logs = await ask(
        "history",
        {"p": 0, "topic": name, "limit": 5},
        {"p": 0, "topic": name, "limit": 0},
        {"p": 9, "topic": name, "limit": 5},
        {"p": 1, "topic": name, "limit": 5, "after": -1},
        {"p": 1, "topic": name, "limit": 5},
    )
    assert [size is not None for size in logs["sizes"]] == [True, False, False, False, True]
    assert [[one["title"] for one in page["items"]] for page in logs["pages"]] == [["one"], ["one"]]
    inboxes = await ask("inbox", {"p": 0, "limit": 5, "after": "nowhere"}, {"p": 1, "limit": 5})
    assert (inboxes["sizes"][0], [page["items"] for page in inboxes["pages"]]) == (None, [[]])
    for wrong in ([], [{"p": 0, "topic": name, "limit": 5}] * (MAX_SHARED + 1)):
        status, _ = await store.call("POST", "/pages/history", None, {"principals": people, "items": wrong})
        assert status == 400
