"""Nothing is lost, doubled or reordered when the feed misbehaves or breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from notifyx_common.calls import silence
from notifyx_gateway.delivery import feed_client
from notifyx_gateway.delivery.hub import HubSettings
from support.memory_store import FeedConnection, MemoryStore
from support.patience import PATIENCE, until
from support.phoenix import Channel, PhoenixClient
from support.socket_gateway import Gateway, running_gateway


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        store.topic("news")
        yield store


@pytest.fixture
async def gateway(memory: MemoryStore) -> AsyncIterator[Gateway]:
    async with running_gateway([memory.url], hub_settings=HubSettings(linger=0.1, retry=0.05)) as running:
        yield running


def seqs(channel: Channel) -> list[int]:
    return [row["seq"] for row in channel.received]


def value(gateway: Gateway, name: str) -> float:
    return gateway.metrics.registry.get_sample_value(name) or 0.0


async def test_a_gap_is_read_from_history_before_what_follows(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        memory.append("news", "x", count=3)
        await channel.until(lambda c: len(c.received) == 3)
        memory.mute.add("news")
        memory.append("news", "x", count=500)
        topic = memory.topics["news"]
        for first, last in ((300, 310), (311, 400), (350, 450), (451, 503)):
            await memory.feed_rows(memory.feeds[0], topic, first, last)
        await channel.until(lambda c: len(c.received) >= 503)
        assert seqs(channel) == list(range(1, 504))
        assert value(gateway, "notifyx_feed_gaps_healed_total") == 1


async def test_repeated_and_overlapping_rows_come_once(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        memory.mute.add("news")
        memory.append("news", "x", count=20)
        del memory.topics["news"].log[7]
        topic = memory.topics["news"]
        for first, last in ((1, 5), (1, 5), (3, 10), (9, 20), (20, 20)):
            await memory.feed_rows(memory.feeds[0], topic, first, last)
        await channel.until(lambda c: c.received[-1:] != [] and c.received[-1]["seq"] == 20)
        assert seqs(channel) == [seq for seq in range(1, 21) if seq != 7]


async def test_a_broken_feed_resumes_from_its_cursors(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        for turn in range(5):
            memory.append("news", "x", count=20)
            await memory.break_feeds()
            memory.append("news", "x", count=20)
            # A feed that is broken while it is still being opened is no reconnect yet.
            await until(lambda: value(gateway, "notifyx_feed_reconnects_total") > turn)  # noqa: B023 - awaited at once
        await channel.until(lambda c: len(c.received) >= 200)
        assert seqs(channel) == list(range(1, 201))
        assert ann.connections == 1


async def test_a_feed_leaves_a_store_that_does_not_say_that_it_works(
    gateway: Gateway, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for the whole silence of a connection, which counts as time in which nothing could arrive."""
    monkeypatch.setattr(feed_client, "AWAY_AFTER", silence.TICK)
    monkeypatch.setattr(feed_client, "SILENCE_TIMEOUT", 2 * PATIENCE)
    monkeypatch.setattr(silence, "SILENT_AFTER", silence.TICK)
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        memory.append("news", "x")
        await channel.until(lambda c: len(c.received) == 1)
        memory.accepting_feeds = False
        memory.answering.clear()
        await until(lambda: gateway.hub.feed.connected_to is None, "it leaves")
        assert gateway.hub.feed.away
        memory.append("news", "x")
        memory.accepting_feeds = True
        memory.answering.set()
        await channel.until(lambda c: len(c.received) == 2)
        assert seqs(channel) == [1, 2]


async def test_acks_and_subscriptions_of_the_break_are_told(gateway: Gateway, memory: MemoryStore) -> None:
    memory.topic("news").subscribe("ann")
    memory.append("news", "x", count=5)
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel, me = await ann.channel("topic:news"), await ann.channel("user:me")
        await me.until(lambda c: ("unread", {"topic": "news", "unread": 5, "expired": 0}) in c.events)
        memory.accepting_feeds = False
        await memory.break_feeds()
        await memory.acked("news", "ann", 4)
        memory.topic("other").subscribe("ann")
        memory.append("other", "x", count=2)
        memory.accepting_feeds = True
        await channel.until(
            lambda c: ("acked", {"up_to": 4, "seqs": [], "unread": 1, "expired": 0, "revision": 0}) in c.events
        )
        await me.until(lambda c: ("unread", {"topic": "news", "unread": 1, "expired": 0}) in c.events)
        await me.until(lambda c: ("unread", {"topic": "other", "unread": 2, "expired": 0}) in c.events)


async def test_a_position_that_was_read_before_an_acknowledgement_is_not_told_after_it(
    gateway: Gateway, memory: MemoryStore
) -> None:
    memory.topic("news").subscribe("ann")
    memory.append("news", "x", count=5)
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        await until(lambda: any("ann" in feed.users for feed in memory.feeds))
        memory.telling_positions.clear()
        read = memory.positions_read
        gateway.hub.on_connected()
        await until(lambda: memory.positions_read > read)
        await memory.acked("news", "ann", 4)
        await channel.until(lambda c: any(event == "acked" for event, _ in c.events))
        memory.telling_positions.set()
        gateway.hub.on_connected()  # its position comes after that of the first
        await channel.until(lambda c: sum(event == "acked" for event, _ in c.events) >= 2)
        assert [told["up_to"] for event, told in channel.events if event == "acked"] == [4, 4]


async def test_a_heartbeat_tells_that_nothing_new_can_arrive(
    gateway: Gateway, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_client, "AWAY_AFTER", 0.0)
    async with PhoenixClient(gateway.url, "user.ann") as ann:

        async def heartbeat() -> dict[str, Any]:
            return await ann.request("", ann.next_ref(), "phoenix", "heartbeat", {})

        await until(lambda: gateway.hub.feed.connected_to is not None)
        assert await heartbeat() == {}
        memory.accepting_feeds = False
        await memory.break_feeds()
        await until(lambda: gateway.hub.feed.connected_to is None)
        assert await heartbeat() == {"live": False}
        memory.accepting_feeds = True
        await until(lambda: gateway.hub.feed.connected_to is not None)
        assert await heartbeat() == {}


async def test_a_topic_deleted_during_the_break_is_told(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        memory.accepting_feeds = False
        await memory.break_feeds()
        del memory.topics["news"]
        memory.append("news", "of another topic", count=3)
        memory.accepting_feeds = True
        await channel.until(lambda c: len(c.events) >= 2)
        assert [event for event, _ in channel.events] == ["topic_deleted", "phx_close"]
        assert channel.received == []


async def test_a_frozen_store_is_left_for_another(memory: MemoryStore) -> None:
    async with MemoryStore() as second:
        second.topics = memory.topics  # one database behind both
        async with running_gateway([memory.url, second.url]) as gateway, PhoenixClient(gateway.url, "user.ann") as ann:
            channel = await ann.channel("topic:news")
            await until(lambda: gateway.hub.feed.connected_to is not None)
            connected_to = gateway.hub.feed.connected_to
            assert connected_to is not None
            frozen, other = (memory, second) if connected_to.url == memory.url else (second, memory)
            frozen.answering.clear()
            frozen.append("news", "x", count=10)
            other.wake()
            await channel.until(lambda c: len(c.received) >= 10)
            assert seqs(channel) == list(range(1, 11))
            assert (await channel.push("publish", {"body": "goes on"}))["seq"] == 11


async def test_publishing_outlasts_a_store_that_is_away_for_a_moment(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        memory.answering.clear()
        work = asyncio.gather(*(channel.push("publish", {"body": f"n{i}"}) for i in range(10)))
        await asyncio.sleep(3.0)
        memory.answering.set()
        answers = await work
        # A batch that was asked twice took effect once.
        assert [answer["seq"] for answer in answers] == list(range(1, 11))
        await channel.until(lambda c: len(c.received) >= 10)
        assert seqs(channel) == list(range(1, 11))
        assert len(memory.topics["news"].log) == 10


async def test_nobody_listening_means_not_watched(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        await channel.push("phx_leave", {})
        await until(lambda: {"op": "unwatch", "topics": ["news"]} in memory.operations)
        assert {"op": "unwatch_users", "users": ["ann"]} in memory.operations
        again = await ann.channel("topic:news")
        memory.append("news", "x")
        await again.until(lambda c: len(c.received) == 1)


async def test_a_malformed_feed_message_costs_the_connection_only(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        await until(lambda: len(memory.feeds) == 1)

        def follows_again(broken: FeedConnection) -> bool:
            return broken not in memory.feeds and any("news" in feed.cursors for feed in memory.feeds)

        for message in ({"type": "rows", "topic": "news"}, {"no": "type"}, {"type": "acked"}):
            (broken,) = memory.feeds
            await memory.send(message)
            await until(partial(follows_again, broken))
        memory.append("news", "x")
        await channel.until(lambda c: len(c.received) == 1)
