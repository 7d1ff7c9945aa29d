"""Publishing on a real database: order, idempotency, retries, two replicas at once."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import Any

import asyncpg
import pytest

from support.store import StoreClient, running_store, store_settings, user

ANN, BOB, EVE = user("ann"), user("bob"), user("eve")


async def seqs(store: StoreClient, topic: str) -> list[int]:
    found: list[int] = []
    while True:
        after = found[-1] if found else 0
        page = await store.ok("GET", f"/topics/{topic}/notifications?after={after}&limit=1000", ANN)
        found += [item["seq"] for item in page["items"]]
        if page["next"] is None:
            return found


async def test_a_batch_is_answered_item_by_item_and_is_in_the_log(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    results = await store.publish(
        ANN, {"topic": "news", "title": "a"}, {"topic": "nope", "title": "b"}, {"topic": "news", "body": "c"}
    )
    assert [result.get("seq", result.get("code")) for result in results] == [1, "topic_not_found", 2]
    page = await store.ok("GET", "/topics/news/notifications", ANN)
    assert [(item["id"], item["title"], item["body"]) for item in page["items"]] == [
        (results[0]["id"], "a", ""),
        (results[2]["id"], "", "c"),
    ]
    assert (page["first_seq"], page["last_seq"], page["next"]) == (1, 2, None)


async def test_the_same_batch_again_is_the_same_answer_and_nothing_new(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    batch_id = uuid.uuid4().hex
    items = [{"topic": "news", "title": "a"}, {"topic": "gone", "title": "a"}, {"topic": "news", "title": "b"}]
    first = await store.publish(ANN, *items, batch_id=batch_id)
    await store.ok("PATCH", "/topics/news", ANN, {"paused": True})
    assert await store.publish(ANN, *items, batch_id=batch_id) == first
    await store.ok("DELETE", "/topics/news", ANN)
    assert await store.publish(ANN, *items, batch_id=batch_id) == first


async def test_the_same_batch_many_times_at_once_is_published_once(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    batch_id = uuid.uuid4().hex
    answers = await asyncio.gather(
        *(
            store.publish(ANN, *({"topic": "news", "title": str(n)} for n in range(5)), batch_id=batch_id)
            for _ in range(8)
        )
    )
    assert all(answer == answers[0] for answer in answers)
    assert await seqs(store, "news") == [1, 2, 3, 4, 5]


async def test_an_idempotency_key(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news", "publishers": ["bob"]})
    item = {"topic": "news", "title": "a", "key": "k"}
    first, other = (await store.publish(ANN, item))[0], (await store.publish(BOB, item))[0]
    assert (first["seq"], other["seq"]) == (1, 2), "a key is its publisher's own"
    assert await store.publish(ANN, item) == [{**first, "duplicate": True}]
    conflict = (await store.publish(ANN, {**item, "title": "b"}))[0]
    assert (conflict["status"], conflict["code"]) == (409, "idempotency_conflict")
    answers = await asyncio.gather(*(store.publish(ANN, {**item, "key": "k2"}) for _ in range(6)))
    assert {answer[0]["seq"] for answer in answers} == {3}
    assert sorted(answer[0]["duplicate"] for answer in answers) == [False] + [True] * 5


async def test_an_inbox_is_made_for_a_known_user_and_its_owner_is_subscribed(store: StoreClient) -> None:
    (refused,) = await store.publish(BOB, {"topic": "user:ann", "title": "to nobody"})
    assert (refused["status"], refused["code"]) == (404, "user_not_found")
    await asyncio.gather(*(store.make_inbox("ann") for _ in range(3)))
    answers = await asyncio.gather(*(store.publish(BOB, {"topic": "user:ann", "title": str(n)}) for n in range(6)))
    assert sorted(answer[0]["seq"] for answer in answers) == [1, 2, 3, 4, 5, 6]
    mine = (await store.ok("GET", "/subscriptions", ANN))["items"]
    assert [(one["topic"], one["email"], one["first_seq"], one["unread"]) for one in mine] == [
        ("user:ann", "unread", 1, 6)
    ]
    assert (await store.call("GET", "/topics/user:ann/notifications", BOB))[0] == 404


async def test_two_replicas_publish_to_the_same_topics_without_gap_or_deadlock(database: str) -> None:
    names = [f"t{n}" for n in range(4)]
    async with running_store(store_settings(database)) as one, running_store(store_settings(database)) as two:
        for name in names:
            await one.ok("POST", "/topics", ANN, {"name": name, "publishers": ["*"]})
        accepted: dict[str, list[int]] = {name: [] for name in names}

        async def publisher(number: int) -> None:
            rng = random.Random(number)
            store = (one, two)[number % 2]
            last: dict[str, int] = {}
            for _ in range(15):
                items = [{"topic": rng.choice(names), "title": f"{number}"} for _ in range(rng.randint(1, 8))]
                for result in await store.publish(user(f"p{number}"), *items):
                    assert result["seq"] > last.get(result["topic"], 0), "a publisher's own order"
                    last[result["topic"]] = result["seq"]
                    accepted[result["topic"]].append(result["seq"])

        async def reader(number: int) -> None:
            store = (one, two)[number % 2]
            for name in names * 4:
                await store.ok("PUT", f"/topics/{name}/subscription", user(f"r{number}"), {})
                await store.ack(user(f"r{number}"), name, up_to=2**40)
                if number == 0:
                    await store.ok("DELETE", f"/topics/{name}/subscription", user(f"r{number}"))

        await asyncio.gather(*(publisher(n) for n in range(6)), *(reader(n) for n in range(3)))
        for name in names:
            assert sorted(accepted[name]) == list(range(1, len(accepted[name]) + 1))
            assert await seqs(two, name) == sorted(accepted[name])


async def test_a_lock_waited_for_too_long_is_503_and_nothing_is_published(database: str) -> None:
    async with running_store(store_settings(database, lock_timeout=0.2)) as store:
        await store.ok("POST", "/topics", ANN, {"name": "news"})
        other = await asyncpg.connect(database)
        try:
            async with other.transaction():
                await other.execute("SELECT 1 FROM topics WHERE name = 'news' FOR UPDATE")
                body: dict[str, Any] = {
                    "batch_id": uuid.uuid4().hex,
                    "principals": [ANN.model_dump(mode="json")],
                    "items": [{"p": 0, "topic": "news", "title": "a"}],
                }
                status, problem = await store.call("POST", "/publish", None, body)
            assert (status, problem["code"]) == (503, "unavailable")
        finally:
            await other.close()
        assert (await store.publish(ANN, {"topic": "news", "title": "b"}))[0]["seq"] == 1


@pytest.mark.parametrize("count", [1, 1000])
async def test_the_largest_and_the_smallest_batch(store: StoreClient, count: int) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    results = await store.publish(ANN, *({"topic": "news", "title": "x", "body": "y" * 200} for _ in range(count)))
    assert [result["seq"] for result in results] == list(range(1, count + 1))


async def test_history_pages_both_ways(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    await store.publish(ANN, *({"topic": "news", "title": str(n)} for n in range(1, 11)))

    async def page(query: str) -> tuple[list[int], int | None]:
        found = await store.ok("GET", f"/topics/news/notifications?{query}", ANN)
        return [item["seq"] for item in found["items"]], found["next"]

    assert await page("limit=4") == ([7, 8, 9, 10], None)
    assert await page("after=0&limit=4") == ([1, 2, 3, 4], 4)
    assert await page("after=4&limit=4") == ([5, 6, 7, 8], 8)
    assert await page("after=8&limit=4") == ([9, 10], None)
    assert await page("before=8&limit=3") == ([5, 6, 7], None)
    assert await page("after=2&before=6") == ([3, 4, 5], None)
    assert await page("after=10") == ([], None)
