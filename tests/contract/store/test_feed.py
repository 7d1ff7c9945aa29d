"""The feed: rows without gap or overlap, where users stand, and what ends or changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from notifyx_common.contracts.store.feed import FEED
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.subscriptions import SubscriptionSettings
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_gateway.upstream.store import Store
from notifyx_topics.settings import Retention
from support.patience import PATIENCE
from support.store import user

ANN, BOB = user("ann"), user("bob")


class FeedReader:
    """A gateway's end of the feed. It checks that rows are contiguous; ``events`` has no versions of settings."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket
        self._cursors: dict[str, int] = {}
        self.seqs: dict[str, list[int]] = {}
        self.events: list[dict[str, Any]] = []

    async def send(self, **operation: Any) -> None:
        """Send an operation."""
        for name, watch in operation["topics"].items() if operation["op"] == "watch" else ():
            self._cursors[name] = watch["after"]
        await self._socket.send_json(operation)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read until ``condition`` holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                message = await self._socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                head, *lines = message.data.split("\n")
                event = orjson.loads(head)
                if event["type"] == "rows":
                    self._take(event, [orjson.loads(line)["seq"] for line in lines])
                elif event["type"] != "topic_version":
                    self.events.append(event)

    async def pass_on(self) -> None:
        """Read everything that was sent before now."""
        number = len(self.events) + 1_000
        await self.send(op="ping", n=number)
        await self.until(lambda: {"type": "pong", "n": number} in self.events)

    def _take(self, event: dict[str, Any], seqs: list[int]) -> None:
        name = event["topic"]
        assert event["from"] == self._cursors[name] + 1
        assert event["count"] == len(seqs)
        assert seqs == sorted(seqs)
        assert all(event["from"] <= seq <= event["to"] for seq in seqs)
        assert event["published_ms"] > 0
        self._cursors[name] = event["to"]
        self.seqs.setdefault(name, []).extend(seqs)


@pytest.fixture
async def feed(store: Store) -> AsyncIterator[FeedReader]:
    url = f"{store.client.endpoints[0].url}{FEED}"
    async with store.client.session.ws_connect(url, max_msg_size=0) as socket:
        yield FeedReader(socket)


async def new_topic(store: Store) -> str:
    return (await store.create_topic(ANN, NewTopic(name="news"))).id


async def publish(store: Store, count: int) -> None:
    await asyncio.gather(*(store.enqueue_publish(ANN, "news", KeyedNotification(body="x")) for _ in range(count)))


async def test_rows_are_contiguous_from_where_the_watch_begins(store: Store, feed: FeedReader) -> None:
    topic = await new_topic(store)
    await publish(store, 5)
    await feed.send(op="watch", topics={"news": {"id": topic, "after": 2}})
    for _ in range(5):
        await publish(store, 4)
    await feed.until(lambda: feed.seqs.get("news", [])[-1:] == [25])
    assert feed.seqs["news"] == list(range(3, 26))


async def test_a_watch_can_start_again_and_end(store: Store, feed: FeedReader) -> None:
    topic = await new_topic(store)
    await publish(store, 3)
    await feed.send(op="watch", topics={"news": {"id": topic, "after": 0}})
    await feed.until(lambda: feed.seqs.get("news") == [1, 2, 3])
    await feed.send(op="watch", topics={"news": {"id": topic, "after": 1}})
    await feed.until(lambda: feed.seqs["news"] == [1, 2, 3, 2, 3])
    await feed.send(op="unwatch", topics=["news"])
    await feed.pass_on()
    await publish(store, 2)
    await feed.pass_on()
    assert feed.seqs["news"] == [1, 2, 3, 2, 3]


async def test_watched_users_acknowledge(store: Store, feed: FeedReader) -> None:
    await new_topic(store)
    await publish(store, 5)
    await feed.send(op="watch_users", users=["bob"])
    await feed.pass_on()

    async def told(up_to: int, seqs: list[int], unread: int) -> None:
        position = {"up_to": up_to, "seqs": seqs, "unread": unread, "expired": 0, "revision": 0, "head": 5}
        event = {"type": "acked", "topic": "news", "user": "bob", **position}
        await feed.until(lambda: event in feed.events)

    await store.ack(ANN, "news", 1)
    await store.ack(BOB, "news", 2)
    await told(2, [], 3)
    await store.ack(BOB, "news", None, [5])
    await told(2, [5], 2)
    await store.ack(BOB, "news", None, [4])
    await told(2, [4, 5], 1)
    await store.ack(BOB, "news", None, [3])
    await told(5, [], 0)
    assert {event["user"] for event in feed.events if event["type"] == "acked"} == {"bob"}


async def test_what_expires_unread_is_reported(store: Store, feed: FeedReader) -> None:
    topic = (await store.create_topic(ANN, NewTopic(name="news", retention=Retention(max_count=2)))).id
    await store.subscribe(BOB, "news", SubscriptionSettings())
    await feed.send(op="watch", topics={"news": {"id": topic, "after": 0}})
    await feed.pass_on()
    await publish(store, 3)
    await feed.until(lambda: {"type": "expired", "topic": "news"} in feed.events)
    assert (await store.unread("bob", "news")).expired == 1


async def test_watched_users_subscribe(store: Store, feed: FeedReader) -> None:
    await new_topic(store)
    await store.subscriptions(BOB)
    await feed.send(op="watch_users", users=["bob"])
    await feed.pass_on()
    event = {"type": "subscriptions", "user": "bob"}
    await store.subscribe(BOB, "news", SubscriptionSettings())
    await feed.until(lambda: feed.events.count(event) == 1)
    await store.unsubscribe(BOB, "news")
    await feed.until(lambda: feed.events.count(event) == 2)


async def test_a_deleted_topic_ends_its_watch(store: Store, feed: FeedReader) -> None:
    topic = await new_topic(store)
    await feed.send(op="watch", topics={"news": {"id": topic, "after": 0}})
    await publish(store, 1)
    await feed.until(lambda: feed.seqs.get("news") == [1])
    event = {"type": "topic_deleted", "topic": "news"}
    await store.delete_topic(ANN, "news")
    await feed.until(lambda: feed.events == [event])
    await new_topic(store)
    await publish(store, 1)
    await feed.send(op="watch", topics={"news": {"id": topic, "after": 0}})
    await feed.until(lambda: feed.events == [event, event])
    assert feed.seqs["news"] == [1], "a topic of the same name is another"
