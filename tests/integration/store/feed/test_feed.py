"""The feed over real sockets: order, resumption, other replicas, events, slow gateways, a listener that breaks.

Replicas wake each other by PostgreSQL, and again by NATS.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import asyncpg
import pytest

from notifyx_common.contracts.store.feed import FEED
from support.feed_reader import ANN, BOB, FeedReader, batch, new_topic
from support.store import StoreClient, running_store, store_settings


async def test_rows_come_in_order_from_both_replicas_and_resume_after_a_break(
    database: str, bus: dict[str, Any]
) -> None:
    settings = store_settings(database, **bus)
    async with running_store(settings) as one, running_store(settings) as two:
        topic = await new_topic(one)
        await one.publish(ANN, *batch(3))
        async with one.feed() as socket:
            feed = FeedReader(socket)
            await feed.watch("news", topic, 1)
            await asyncio.gather(*((one, two)[n % 2].publish(ANN, *batch(5)) for n in range(12)))
            await feed.until(feed.reached("news", 63))
            assert feed.seqs["news"] == list(range(2, 64))
        await two.publish(ANN, *batch(600))
        async with two.feed() as socket:
            feed = FeedReader(socket)
            await feed.watch("news", topic, 63)
            await feed.until(feed.reached("news", 663))
            assert feed.seqs["news"] == list(range(64, 664))


async def test_what_expired_is_covered_but_not_there(store: StoreClient, database: str) -> None:
    topic = await new_topic(store)
    await store.publish(ANN, *batch(6))
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM notifications WHERE seq IN (2, 5, 6)")
    await connection.close()
    async with store.feed() as socket:
        feed = FeedReader(socket)
        await feed.watch("news", topic, 0)
        await feed.until(feed.reached("news", 6))
        assert feed.seqs["news"] == [1, 3, 4]


async def test_users_devices_are_told_of_acks_and_subscriptions(store: StoreClient) -> None:
    await new_topic(store)
    await store.publish(ANN, *batch(4))
    await store.listens()
    async with store.feed() as socket:
        feed = FeedReader(socket)
        await socket.send_json({"op": "watch_users", "users": ["bob"]})
        await socket.send_json({"op": "ping", "n": 1})
        await feed.until(feed.received(type="pong", n=1))
        await store.ack(BOB, "news", seqs=[1, 3])
        await feed.until(feed.received(type="acked", topic="news", user="bob", up_to=1, seqs=[3], unread=2))
        await store.ok("PUT", "/topics/news/subscription", BOB, {})
        await feed.until(feed.received(type="subscriptions", user="bob"))
        await socket.send_json({"op": "unwatch_users", "users": ["bob"]})
        await socket.send_json({"op": "ping", "n": 2})
        await feed.until(feed.received(type="pong", n=2))
        before = len(feed.events)
        await store.ack(BOB, "news", up_to=4)
        await socket.send_json({"op": "watch_users", "users": ["ann"]})
        await store.ok("PUT", "/topics/news/subscription", ANN, {})
        await feed.until(feed.received(type="subscriptions", user="ann"))
        assert [event["type"] for event in feed.events[before:]] == ["subscriptions"]


async def test_a_changed_and_a_deleted_topic_are_told(store: StoreClient) -> None:
    topic = await new_topic(store)
    await store.publish(ANN, *batch(1))
    async with store.feed() as socket:
        feed = FeedReader(socket)
        await feed.watch("news", topic, 0)
        await feed.until(feed.reached("news", 1))
        await store.ok("PATCH", "/topics/news", ANN, {"title": "News"})
        await feed.until(feed.received(type="topic_changed", topic="news"))
        await store.ok("DELETE", "/topics/news", ANN)
        await feed.until(feed.received(type="topic_deleted", topic="news"))
        again = await new_topic(store)
        assert again != topic
        await feed.watch("news", again, 0)
        await store.publish(ANN, *batch(2))
        await feed.until(feed.reached("news", 2))


async def test_a_topic_that_was_deleted_before_the_watch(store: StoreClient) -> None:
    topic = await new_topic(store)
    await store.ok("DELETE", "/topics/news", ANN)
    async with store.feed() as socket:
        feed = FeedReader(socket)
        await feed.watch("news", topic, 0)
        await feed.until(feed.received(type="topic_deleted", topic="news"))


async def test_a_gateway_that_takes_nothing_is_behind_not_lost_and_costs_no_memory(database: str) -> None:
    settings = store_settings(database, feed_high_water=20_000, feed_queue=2_000_000)
    async with running_store(settings) as store:
        topic = await new_topic(store)
        async with store.feed() as slow, store.feed() as quick:
            behind, ahead = FeedReader(slow), FeedReader(quick)
            await behind.watch("news", topic, 0)
            await ahead.watch("news", topic, 0)
            reading = asyncio.create_task(ahead.until(ahead.reached("news", 3000)))
            for _ in range(30):
                await store.publish(ANN, *batch(100, body="y" * 5000))
            await reading
            await behind.until(behind.reached("news", 3000))
            assert behind.seqs["news"] == ahead.seqs["news"] == list(range(1, 3001))


@pytest.mark.parametrize("text", ["{", '{"op":"fly"}', '{"op":"watch_users","users":"nobody"}'])
async def test_a_malformed_message_ends_that_connection_only(store: StoreClient, text: str) -> None:
    async with store.feed() as bad, store.feed() as good:
        await bad.send_str(text)
        assert (await bad.receive()).type is aiohttp.WSMsgType.CLOSE
        assert bad.close_code == 1008
        await good.send_json({"op": "ping", "n": 5})
        feed = FeedReader(good)
        await feed.until(feed.received(type="pong", n=5))


async def test_a_lost_wake_up_is_found_by_the_poll_and_a_lost_listener_comes_back(database: str) -> None:
    async with running_store(store_settings(database, feed_poll=0.2)) as store:
        topic = await new_topic(store)
        await store.publish(ANN, *batch(1))
        connection = await asyncpg.connect(database)
        async with store.feed() as socket:
            feed = FeedReader(socket)
            await feed.watch("news", topic, 0)
            await feed.until(feed.reached("news", 1))
            await connection.execute(
                "WITH moved AS (UPDATE topics SET last_seq = 2 WHERE name = 'news' RETURNING id)"
                " INSERT INTO notifications SELECT id, 2, '{\"seq\":2}', 'x', now() FROM moved"
            )
            await feed.until(feed.reached("news", 2))
            await socket.send_json({"op": "watch_users", "users": ["bob"]})
            await socket.send_json({"op": "ping", "n": 3})
            await feed.until(feed.received(type="pong", n=3))
            killed = await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'notifyx-feed' AND datname = current_database()"
            )
            assert killed == 1
            await feed.until(feed.received(type="subscriptions", user="bob"))
            await store.ack(BOB, "news", up_to=1)
            await feed.until(feed.received(type="acked", user="bob", up_to=1))
        await connection.close()


async def test_the_feed_wants_the_internal_token(store: StoreClient) -> None:
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await stranger.ws_connect(f"{store.url}{FEED}")
    assert refusal.value.status == 401
