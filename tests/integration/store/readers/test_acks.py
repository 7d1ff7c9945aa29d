"""Acknowledgements, joins and subscriptions against a model, with the ledger balanced after every step."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from notifyx_common.principal import system_principal
from notifyx_store.readers.acks import ACK_QUERY, LOCK_QUERY
from notifyx_store.readers.joins import JOIN_QUERY, UNREAD_QUERY
from notifyx_store.readers.unacks import FIND, KEPT
from support.store import StoreClient, user
from support.store_database import new_topic

ANN, BOB, EVE = user("ann"), user("bob"), user("eve")
SYSTEM = system_principal("test")


def stand(acked_up_to: int, unread: int) -> dict[str, Any]:
    return {"topic": "news", "acked_up_to": acked_up_to, "unread": unread, "expired": 0, "revision": 0}


async def topic_with(store: StoreClient, count: int) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    if count:
        await store.publish(ANN, *({"topic": "news", "title": str(n)} for n in range(1, count + 1)))


async def test_a_reader_who_is_not_subscribed_acknowledges_too(store: StoreClient) -> None:
    await topic_with(store, 5)
    join = await store.join(BOB, "news")
    assert (join["acked_up_to"], join["unread"], join["subscribed"]) == (0, 5, False)
    assert await store.ack(BOB, "news", seqs=[2, 4]) == stand(0, 3)
    assert await store.ack(BOB, "news", seqs=[1]) == stand(2, 2)
    assert await store.ack(BOB, "news", up_to=3) == stand(4, 1)
    assert await store.ack(BOB, "news", up_to=1) == stand(4, 1)
    assert (await store.call("GET", "/topics/news/subscription", BOB))[0] == 404
    assert [one["topic"] for one in (await store.ok("GET", "/subscriptions", BOB))["items"]] == ["user:bob"]


async def test_an_ack_of_what_does_not_exist_yet_does_not_acknowledge_it_in_advance(store: StoreClient) -> None:
    await topic_with(store, 2)
    assert (await store.ack(BOB, "news", up_to=50))["acked_up_to"] == 2
    assert (await store.ack(BOB, "news", seqs=[3, 2**53 - 1]))["acked_up_to"] == 2
    await store.publish(ANN, {"topic": "news", "title": "new"})
    assert (await store.join(BOB, "news"))["unread"] == 1


async def test_what_is_no_longer_there_counts_as_passed(store: StoreClient, database: str) -> None:
    await topic_with(store, 6)
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM notifications WHERE seq IN (1, 2, 4)")
    await connection.execute("UPDATE topics SET pruned_seq = 2 WHERE name = 'news'")
    await connection.close()
    join = await store.join(BOB, "news", since=1)
    assert (join["first_seq"], join["unread"], join["truncated"], join["missing"]) == (3, 3, True, 2)
    join = await store.join(BOB, "news", since=3)
    assert (join["truncated"], join["missing"]) == (False, 1)
    assert await store.ack(BOB, "news", seqs=[3]) == stand(4, 2)


async def test_subscribing_begins_after_what_is_there_and_ends_what_went_before(store: StoreClient) -> None:
    await topic_with(store, 3)
    await store.ack(BOB, "news", seqs=[1])
    begun = await store.ok("PUT", "/topics/news/subscription", BOB, {"email": "every"})
    assert (begun["first_seq"], begun["acked_up_to"], begun["unread"], begun["email"]) == (4, 3, 0, "every")
    again = await store.ok("PUT", "/topics/news/subscription", BOB, {})
    assert again == begun, "nothing given, nothing changed"
    changed = await store.ok("PUT", "/topics/news/subscription", BOB, {"email": "digest"})
    assert changed == {**begun, "email": "digest"}
    await store.publish(ANN, {"topic": "news", "title": "a"}, {"topic": "news", "title": "b"})
    assert (await store.ack(BOB, "news", seqs=[5])) == stand(3, 1)
    assert (await store.call("DELETE", "/topics/news/subscription", BOB))[0] == 204
    assert (await store.call("DELETE", "/topics/news/subscription", BOB))[0] == 204
    ledger = await store.ok("GET", "/ledger", SYSTEM)
    row = next(row for row in ledger["topics"] if row["topic"] == "news")
    assert row == {"topic": "news", "due": 2, "acked": 1, "pending": 0, "expired": 0, "withdrawn": 1}
    assert ledger["balanced"]


async def test_the_topics_default_is_a_new_subscriptions_email_mode(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news", "email": {"default": "digest"}})
    assert (await store.ok("PUT", "/topics/news/subscription", BOB, {}))["email"] == "digest"


async def test_the_inbox_cannot_be_left(store: StoreClient) -> None:
    status, problem = await store.call("DELETE", "/topics/user:ann/subscription", ANN)
    assert (status, problem["code"]) == (403, "inbox_is_fixed")
    changed = await store.ok("PUT", "/topics/user:ann/subscription", ANN, {"email": "never"})
    assert (changed["email"], changed["first_seq"]) == ("never", 1)
    assert (await store.call("PUT", "/topics/user:ann/subscription", BOB, {}))[0] == 404


async def test_unread_counts_of_many_pairs(store: StoreClient) -> None:
    await topic_with(store, 4)
    await store.ack(BOB, "news", up_to=3)
    items = [{"user": "bob", "topic": "news"}, {"user": "eve", "topic": "news"}, {"user": "eve", "topic": "nowhere"}]
    assert (await store.ok("POST", "/unread", None, {"items": items}))["results"] == [
        {"user": "bob", "topic": "news", "acked_up_to": 3, "unread": 1, "expired": 0},
        {"user": "eve", "topic": "news", "acked_up_to": 0, "unread": 4, "expired": 0},
        {"user": "eve", "topic": "nowhere", "acked_up_to": 0, "unread": 0, "expired": 0},
    ]


async def test_acks_of_one_tick_are_one_step_and_bad_ones_are_refused_alone(store: StoreClient) -> None:
    await topic_with(store, 6)
    await store.ok("PATCH", "/topics/news", ANN, {"visibility": "private", "readers": ["bob"]})
    items: list[dict[str, Any]] = [
        {"p": 0, "topic": "news", "up_to": 2},
        {"p": 1, "topic": "news", "up_to": 2},
        {"p": 0, "topic": "news", "seqs": [4]},
        {"p": 0, "topic": "news"},
        {"p": 0, "topic": "news", "up_to": 1, "seqs": [1]},
        {"p": 0, "topic": "news", "up_to": -1},
        {"p": 0, "topic": "user:bob", "up_to": 3},
    ]
    body = {"principals": [one.model_dump(mode="json") for one in (BOB, EVE)], "items": items}
    results = (await store.ok("POST", "/acks", None, body))["results"]
    after = stand(2, 3)
    assert results[0] == results[2] == after
    assert [one.get("status") for one in results] == [None, 404, None, 400, 400, 400, None]
    assert results[6] == {**stand(0, 0), "topic": "user:bob"}


@pytest.mark.parametrize("seed", range(3))
async def test_random_histories_balance(store: StoreClient, seed: int) -> None:
    """Users act at random and at once; a model of each user's own acknowledgements says what must be unread."""
    await topic_with(store, 0)
    rng = random.Random(seed)
    people = [user(f"u{n}") for n in range(4)]
    last = 0
    acked: dict[str, set[int]] = {one.id: set() for one in people}
    floor: dict[str, int] = {one.id: 0 for one in people}
    subscribed: dict[str, bool] = {one.id: False for one in people}

    async def act(number: int) -> None:
        person = people[number]
        choice = rng.choice(["up_to", "seqs", "seqs", "subscribe", "unsubscribe"])
        if choice == "up_to":
            up_to = rng.randint(0, last + 2)
            acked[person.id] |= set(range(1, min(up_to, last) + 1))
            await store.ack(person, "news", up_to=up_to)
        elif choice == "seqs":
            seqs = [rng.randint(0, last + 2) for _ in range(rng.randint(1, 5))]
            acked[person.id] |= {seq for seq in seqs if 1 <= seq <= last}
            await store.ack(person, "news", seqs=seqs)
        elif choice == "subscribe":
            if not subscribed[person.id]:
                subscribed[person.id], floor[person.id] = True, last
                acked[person.id].clear()
            await store.ok("PUT", "/topics/news/subscription", person, {})
        elif subscribed[person.id]:
            subscribed[person.id], floor[person.id] = False, 0
            acked[person.id].clear()
            await store.ok("DELETE", "/topics/news/subscription", person)

    for _ in range(25):
        count = rng.randint(0, 4)
        if count:
            await store.publish(ANN, *({"topic": "news", "title": "x"} for _ in range(count)))
            last += count
        await asyncio.gather(*(act(n) for n in range(len(people))))
        for person in people:
            join = await store.join(person, "news")
            expected = set(range(floor[person.id] + 1, last + 1)) - acked[person.id]
            assert (join["unread"], join["subscribed"]) == (len(expected), subscribed[person.id])
            assert join["acked_up_to"] == (min(expected) - 1 if expected else last) or not acked[person.id]
        assert (await store.ok("GET", "/ledger", SYSTEM))["balanced"]


async def test_taking_back_costs_no_more_for_each_when_they_are_many(fresh_pool: asyncpg.Pool) -> None:
    """What is wanted and what is kept are looked up: the planner, who knows nothing of new rows, is not to compare."""
    pool = fresh_pool
    topic = await new_topic(pool)
    await topic.publish(300)
    await topic.subscribe("ann", first_seq=1)
    await topic.ack_up_to("ann", 300)
    row = await pool.fetchval("SELECT id FROM subscriptions WHERE user_id = 'ann'")
    asked = (row, topic.id, 1, 2**53 - 1, list(range(1, 200)), False)
    for sql, values in ((FIND, asked), (KEPT, (0, *asked[1:], 300))):
        plan = "\n".join(line[0] for line in await pool.fetch(f"EXPLAIN {sql}", *values))
        assert "hashed SubPlan" in plan
        assert "Anti Join" not in plan


async def test_small_batches_are_not_planned_each_time(fresh_pool: asyncpg.Pool) -> None:
    topic = await new_topic(fresh_pool)
    one = await topic.subscribe("ann")
    batches: dict[str, tuple[Any, ...]] = {
        JOIN_QUERY: (["news"], ["ann"], [None], [""]),
        UNREAD_QUERY: (["news"], ["ann"]),
        LOCK_QUERY: ([topic.id], ["ann"]),
        ACK_QUERY: ([one], [0], [one], [1]),
    }
    async with fresh_pool.acquire() as connection:
        for query, values in batches.items():
            for _ in range(7):  # PostgreSQL decides after the fifth
                await connection.fetch(query, *values)
            kept = "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1"
            assert await connection.fetchval(kept, query) == 2, query
