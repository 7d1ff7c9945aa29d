"""The inbox: everything once, newest first, page by page, while more is published."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import asyncpg
import orjson

from notifyx_common.principal import Principal
from notifyx_store.maintenance.retention import remove_batch
from notifyx_store.readers.inbox import read_inbox
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from support.store_database import NOW, Topic, new_topic

ANN = Principal(id="ann", email="ann@example.org", email_verified=True)


async def page(
    pool: asyncpg.Pool, *, who: Principal = ANN, unread: bool = False, limit: int = 50, after: str | None = None
) -> Any:
    place = InboxCursor.decode(after) if after else NEWEST
    async with pool.acquire() as connection:
        page = await read_inbox(connection, who, unread_only=unread, limit=limit, max_unread=3, after=place)
        return orjson.loads(page)


def keys(items: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(item["topic"], item["seq"]) for item in items]


async def test_every_notification_comes_once_in_order_whatever_the_page_length(pool: asyncpg.Pool) -> None:
    choose = random.Random(4)
    topics = [await new_topic(pool) for _ in range(3)]
    for topic in topics:
        await topic.publish(1)
        await topic.subscribe("ann")
    wanted: list[tuple[Any, Any, int, str]] = []
    for _ in range(40):
        topic = choose.choice(topics)
        # Clocks of replicas differ a little: time does not always follow seq.
        at = NOW + timedelta(milliseconds=choose.randrange(20))
        wanted.append((at, topic.id, await topic.publish(1, at=at), topic.name))
    expected = [(name, seq) for _, _, seq, name in sorted(wanted, reverse=True)]
    for limit in (1, 3, 7, 39, 40, 41):
        got: list[tuple[str, int]] = []
        after = None
        while True:
            answer = await page(pool, limit=limit, after=after)
            assert len(answer["items"]) <= limit
            got.extend(keys(answer["items"]))
            if limit == 7:
                await topics[0].publish(1, at=NOW + timedelta(hours=1))
            if (after := answer["next"]) is None:
                break
        assert [key for key in got if key in expected] == expected
        assert len(got) == len(set(got))


async def test_what_is_acknowledged_says_so_and_can_be_left_out(pool: asyncpg.Pool) -> None:
    topic, quiet = await new_topic(pool), await new_topic(pool)
    for one in (topic, quiet):
        await one.subscribe("ann")
    await topic.publish(5)
    await topic.ack_up_to("ann", 2)
    await topic.ack_seqs("ann", [4])
    everything = await page(pool)
    assert [(item["seq"], item["acked"]) for item in everything["items"]] == [
        (5, False), (4, True), (3, False), (2, True), (1, True),
    ]  # fmt: skip
    assert everything["items"][0]["title"] == "Title 5"
    assert everything["unread"] == {topic.name: 2, quiet.name: 0}
    unread = await page(pool, unread=True, limit=1)
    assert [item["seq"] for item in unread["items"]] == [5]
    rest = await page(pool, unread=True, limit=1, after=unread["next"])
    assert ([item["seq"] for item in rest["items"]], rest["next"]) == ([3], None)


async def test_only_lasting_subscriptions_count_and_only_from_their_beginning(pool: asyncpg.Pool) -> None:
    topic, left, other = await new_topic(pool), await new_topic(pool), await new_topic(pool)
    await topic.publish(2)
    await topic.subscribe("ann")
    await left.subscribe("ann")
    await other.subscribe("bob")
    for one in (topic, left, other):
        await one.publish(1)
    await left.unsubscribe("ann")
    answer = await page(pool)
    assert keys(answer["items"]) == [(topic.name, 3)]
    assert answer["unread"] == {topic.name: 1}
    assert await page(pool, who=Principal(id="nobody")) == {
        "items": [],
        "next": None,
        "unread": {},
        "expired": {},
        "inbox_full": False,
    }


async def test_nothing_shows_of_topics_that_may_not_be_read_or_are_not_covered(pool: asyncpg.Pool) -> None:
    open_one, closed, granted = await new_topic(pool), await new_topic(pool), await new_topic(pool)
    for one in (open_one, closed, granted):
        await one.subscribe("ann")
        await one.publish(1)
    await pool.execute("UPDATE topics SET visibility = 'private' WHERE id = ANY($1::uuid[])", [closed.id, granted.id])
    await pool.execute("UPDATE topics SET readers = '{ann@example.org}' WHERE id = $1", granted.id)
    answer = await page(pool)
    assert sorted(answer["unread"]) == sorted([open_one.name, granted.name])
    assert sorted(key[0] for key in keys(answer["items"])) == sorted([open_one.name, granted.name])
    narrow = ANN.model_copy(update={"kind": "api_key", "topics": (granted.name,)})
    assert keys((await page(pool, who=narrow))["items"]) == [(granted.name, 1)]


async def test_removed_notifications_are_not_shown(pool: asyncpg.Pool) -> None:
    topic: Topic = await new_topic(pool)
    await topic.subscribe("ann")
    await topic.publish()
    await topic.publish(expires_at=NOW)
    await topic.publish()
    async with pool.acquire() as connection:
        assert (await remove_batch(connection, topic.id, "expires_at", NOW)).removed == 1
    answer = await page(pool)
    assert ([item["seq"] for item in answer["items"]], answer["unread"]) == ([3, 1], {topic.name: 2})
