"""The inbox: everything once, newest first, page by page, while more is published."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import orjson
import pytest

from notifyx_common.contracts.store.pages import MAX_SHARED_BYTES, InboxPageItem
from notifyx_common.principal import Principal
from notifyx_store.base.read_replica import Read
from notifyx_store.maintenance.retention import remove_batch
from notifyx_store.readers import inbox
from notifyx_store.readers.inbox import read_inbox
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.readers.shared_inboxes import (
    INBOX_PAGES_QUERY,
    MAX_ROWS,
    MAX_SUBSCRIPTIONS,
    SUBSCRIBED_QUERY,
    _way,
    read_inbox_pages,
)
from support.store_database import NOW, Topic, new_topic, turn_on

T = TypeVar("T")

ANN = Principal(id="ann", email="ann@example.org", email_verified=True)
BOB = Principal(id="bob")


async def page(
    pool: asyncpg.Pool, *, who: Principal = ANN, unread: bool = False, limit: int = 50, after: str | None = None
) -> Any:
    """Return a page, which is the same where it is read with those of others."""
    place = InboxCursor.decode(after) if after else NEWEST
    asked = InboxPageItem(p=0, limit=limit, unread=unread, after=after)
    others = InboxPageItem(p=1, limit=2)
    async with pool.acquire() as connection:
        page = await read_inbox(turn_on(connection), who, unread_only=unread, limit=limit, max_unread=3, after=place)
        together = [(BOB, others), (who, asked), (who, others), (who, asked)]
        shared = await read_inbox_pages(connection, together, max_unread=3)
        assert shared[1] == shared[3] == page
        assert shared[0] == await read_inbox(turn_on(connection), BOB, unread_only=False, limit=2, max_unread=3)
        return orjson.loads(page)


def keys(items: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(item["topic"], item["seq"]) for item in items]


async def test_what_is_acknowledged_between_two_turns_leaves_no_gap_in_a_page(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HEADS", 2)
    topics = [await new_topic(pool) for _ in range(5)]
    for number, topic in enumerate(topics):
        await topic.subscribe("ann")
        await topic.publish(1, at=NOW - timedelta(days=1, seconds=number))
        await topic.publish(1, at=NOW - timedelta(seconds=number))
    turns = 0

    async def turn(read: Read[T]) -> T:
        nonlocal turns
        turns += 1
        if turns == 5:  # after one for the subscriptions and three for the newest of each
            for topic in topics[1:3]:
                await topic.ack_up_to("ann", 2)
        async with pool.acquire() as connection:
            return await read(connection)

    found = orjson.loads(await read_inbox(turn, ANN, unread_only=True, limit=2, max_unread=3))
    assert turns == 5
    assert keys(found["items"]) == [(topics[0].name, 2), (topics[3].name, 2)]


async def test_every_notification_comes_once_in_order_whatever_the_page_length(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HEADS", 4)
    choose = random.Random(4)
    topics = [await new_topic(pool) for _ in range(9)]
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
    for limit in (1, 2, 3, 4, 7, 39, 40, 41):
        got: list[tuple[str, int]] = []
        after = None
        while True:
            answer = await page(pool, unread=limit % 2 == 0, limit=limit, after=after)
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


async def shared(pool: asyncpg.Pool, *asked: InboxPageItem, who: Principal = ANN) -> list[Any]:
    """Return pages that are read together, decoded."""
    async with pool.acquire() as connection:
        pages = await read_inbox_pages(connection, [(who, item) for item in asked], max_unread=3)
    return [None if page is None else orjson.loads(page) for page in pages]


async def test_what_takes_long_is_not_read_with_the_pages_of_others(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann")
    await topic.publish(2, body="x" * (MAX_SHARED_BYTES // 2))
    large, small, wrong = await shared(
        pool,
        InboxPageItem(p=0, limit=2),
        InboxPageItem(p=0, limit=1),
        InboxPageItem(p=0, limit=1, after="nowhere"),
    )
    assert (large, wrong) == (None, None)
    assert [item["seq"] for item in small["items"]] == [2]
    await topic.publish(MAX_ROWS - 1)
    unread, newest = await shared(pool, InboxPageItem(p=0, limit=2, unread=True), InboxPageItem(p=0, limit=2))
    assert (unread, [item["seq"] for item in newest["items"]]) == (None, [MAX_ROWS + 1, MAX_ROWS])
    for _ in range(MAX_SUBSCRIPTIONS):
        await (await new_topic(pool)).subscribe("ann")
    assert await shared(pool, InboxPageItem(p=0, limit=2)) == [None]
    write_only = ANN.model_copy(update={"kind": "api_key", "scopes": frozenset({"publish"})})
    assert await shared(pool, InboxPageItem(p=0, limit=2), who=write_only) == [None]


async def test_a_page_of_a_new_subscription_does_not_pass_all_that_was_before(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.publish(50)
    await topic.subscribe("ann")
    await topic.publish(5)
    await topic.ack_seqs("ann", [52, 54])
    for limit in (3, 5, 9):
        first = await page(pool, limit=limit)
        seen = keys(first["items"])
        if first["next"] is not None:
            seen += keys((await page(pool, limit=limit, after=first["next"]))["items"])
        assert [seq for _, seq in seen] == [55, 54, 53, 52, 51]
    asked = InboxPageItem(p=0, limit=9)
    assert _way(asked, 55, 0, 51, 50) == (True, 5), "and not all 55 by time"
    assert _way(asked, 55, 0, 1, 0) == (False, 10)
    assert _way(asked.model_copy(update={"after": "x"}), 55, 0, 21, 20) == (False, 30)
    assert [item["seq"] for item in (await page(pool, unread=True))["items"]] == [55, 53, 51]


async def test_pages_of_inboxes_are_not_planned_each_time(fresh_pool: asyncpg.Pool) -> None:
    topic = await new_topic(fresh_pool)
    await topic.subscribe("ann")
    async with fresh_pool.acquire() as connection:
        for count in (1, 1, 1, 2, 5, 2, 1):  # PostgreSQL decides after the fifth
            await read_inbox_pages(connection, [(ANN, InboxPageItem(p=0, limit=20))] * count, max_unread=3)
        kept = "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1"
        for query in (SUBSCRIBED_QUERY, INBOX_PAGES_QUERY):
            assert await connection.fetchval(kept, query) == 2
