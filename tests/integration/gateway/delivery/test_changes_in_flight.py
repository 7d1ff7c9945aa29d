"""What changes between the store's answer to a join and the moment when the change would reach the channel.

Two stores on one database. The feed comes from one, joins are answered by the other: what is held between them is late,
as on a busy machine, and nothing else is different.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.clock import SystemClock
from notifyx_local.postgres import Cluster
from support.held import Held, held
from support.patience import until
from support.phoenix import Channel, PhoenixClient
from support.postgres import create_migrated, drop_database
from support.socket_gateway import Gateway, running_gateway
from support.store import SCHEMA, TOKEN, StoreClient, running_store, store_settings, user

ANN, BOB = user("ann"), user("bob")


@dataclass(frozen=True)
class Platform:
    """``feed`` is before the store that the gateway's feed is connected to, ``calls`` before the one of all calls."""

    gateway: Gateway
    store: StoreClient
    feed: Held
    calls: Held


@pytest.fixture
async def platform(postgres: Cluster) -> AsyncIterator[Platform]:
    url = await create_migrated(postgres, SCHEMA)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(running_store(store_settings(url)))
        two = await stack.enter_async_context(running_store(store_settings(url)))
        feed, calls = await stack.enter_async_context(held(one.url)), await stack.enter_async_context(held(two.url))
        gateway = await stack.enter_async_context(running_gateway([feed.url], token=TOKEN))
        await until(lambda: gateway.hub.feed.connected_to, "the feed is connected")
        gateway.discovery.replace("store", [Endpoint(calls.url, calls.url)])
        await two.ok("POST", "/topics", ANN, {"name": "news"})
        await two.publish(ANN, *({"topic": "news", "body": str(n)} for n in range(3)))
        yield Platform(gateway, one, feed, calls)
    await drop_database(postgres, url)


async def take_reading_away(store: StoreClient) -> None:
    await store.ok("PATCH", "/topics/news", ANN, {"visibility": "private"})


async def delete(store: StoreClient) -> None:
    await store.ok("DELETE", "/topics/news", ANN)


async def acknowledge(store: StoreClient) -> None:
    await store.ack(BOB, "news", up_to=2)


def ended(channel: Channel) -> bool:
    return channel.events[-1:] == [("phx_error", {})]


def deleted(channel: Channel) -> bool:
    return [event for event, _ in channel.events] == ["topic_deleted", "phx_close"]


def acked(channel: Channel) -> bool:
    return any(event == "acked" and body["up_to"] == 2 and body["unread"] == 1 for event, body in channel.events)


Change = Callable[[StoreClient], Any]
Told = Callable[[Channel], bool]
CHANGES = [(take_reading_away, ended), (delete, deleted), (acknowledge, acked)]


@pytest.mark.parametrize(("change", "told"), CHANGES)
async def test_before_the_feed_watches(platform: Platform, change: Change, told: Told) -> None:
    async with PhoenixClient(platform.gateway.url, "user.bob") as bob:
        platform.feed.requests.clear()
        his = await bob.channel("topic:news")
        await change(platform.store)
        platform.feed.requests.set()
        await his.until(told)


@pytest.mark.parametrize(("change", "told"), CHANGES)
async def test_before_the_answer_to_the_join_arrives(platform: Platform, change: Change, told: Told) -> None:
    url = platform.gateway.url
    async with PhoenixClient(url, "user.bob") as bob, PhoenixClient(url, "user.bob") as other:
        witness = await other.channel("topic:news")
        platform.calls.answered.clear()
        platform.calls.answers.clear()
        channel = Channel(bob, "topic:news", {})
        bob._channels["topic:news"] = channel
        joining = asyncio.create_task(channel.join())
        await platform.calls.answered.wait()
        await change(platform.store)
        await witness.until(told) if told is not ended else await changed(platform)
        platform.calls.answers.set()
        await joining
        await channel.until(told)


async def changed(platform: Platform) -> None:
    """Wait until the gateway has been told of the change of the topic, which the held answers keep it from checking."""
    await until(lambda: any(one.get_name() == "join check" for one in asyncio.all_tasks()), "the change is told")


def got(channel: Channel) -> list[str]:
    return [body["body"] for event, body in channel.events if event == "notification"]


async def head(platform: Platform, seq: int) -> None:
    """Wait until the gateway has got the rows up to ``seq``, and written them to whoever gets them."""
    await until(lambda: platform.gateway.hub._topics["news"].head == seq, "the rows have come")


@pytest.mark.parametrize("cut_off", [False, True])
async def test_rows_that_were_published_after_the_right_to_read_was_taken_away(
    platform: Platform, cut_off: bool
) -> None:
    async with AsyncExitStack() as stack:
        ann, bob, again = [
            await stack.enter_async_context(PhoenixClient(platform.gateway.url, token))
            for token in ("user.ann", "user.bob", "user.bob")
        ]
        hers, his = await ann.channel("topic:news"), await bob.channel("topic:news")
        resumed = await again.channel("topic:news", since=1)
        await resumed.until(lambda channel: got(channel) == ["1", "2"])
        platform.calls.answers.clear()
        if cut_off:
            platform.feed.answers.clear()
        await take_reading_away(platform.store)
        await platform.store.publish(ANN, {"topic": "news", "body": "secret"})
        platform.feed.answers.set()
        await head(platform, 4)
        assert got(hers) == [], "nobody is known to be a reader"
        await platform.store.publish(ANN, {"topic": "news", "body": "more"})
        await head(platform, 5)
        platform.calls.answers.set()
        for channel in (his, resumed):
            await channel.until(ended)
        await hers.until(lambda channel: got(channel) == ["secret", "more"])
        assert got(his) + got(resumed) == ["1", "2"]


async def test_a_change_of_a_topic_that_everyone_may_read_holds_up_nobody(platform: Platform) -> None:
    async with PhoenixClient(platform.gateway.url, "user.bob") as bob:
        his = await bob.channel("topic:news")
        platform.calls.answers.clear()
        await platform.store.ok("PATCH", "/topics/news", ANN, {"title": "News"})
        await platform.store.publish(ANN, {"topic": "news", "body": "public"})
        await his.until(lambda channel: got(channel) == ["public"])
        platform.calls.answers.set()


async def subscribe(store: StoreClient) -> None:
    await store.ok("PUT", "/topics/news/subscription", BOB, {})


def counted(unread: int) -> Told:
    return lambda me: me.events[-1:] == [("unread", {"topic": "news", "unread": unread, "expired": 0})]


async def test_counts_and_subscriptions_before_the_feed_watches_their_user(platform: Platform) -> None:
    async with PhoenixClient(platform.gateway.url, "user.bob") as bob:
        platform.feed.requests.clear()
        me = await bob.channel("user:me")
        await until(lambda: not reading(), "the subscriptions are read")
        await subscribe(platform.store)
        platform.feed.requests.set()
        await me.until(counted(0))


async def test_an_address_that_is_another_one_by_now(platform: Platform) -> None:
    await platform.store.ok("PATCH", "/topics/news", ANN, {"visibility": "private", "readers": ["bob@example.org"]})
    async with PhoenixClient(platform.gateway.url, "user.bob") as bob:
        his = await bob.channel("topic:news")
        platform.gateway.tokens.address = "robert@example.org"
        platform.gateway.listener.credentials_changed(lambda principal: principal.id == "bob")
        await his.until(ended)


def reading() -> bool:
    """Whether subscriptions are being read."""
    return any(one.get_name() == "subscriptions" for one in asyncio.all_tasks())


async def test_counts_whose_answer_came_later_than_an_acknowledgement(platform: Platform) -> None:
    gateway = platform.gateway
    async with PhoenixClient(gateway.url, "user.bob") as bob:
        witness = await bob.channel("topic:news")
        asked_at = SystemClock().monotonic()
        answer = await gateway.store.join(BOB, "news")
        assert not gateway.hub.observe(Unconcerned(), "bob", answer, asked_at)
        await acknowledge(platform.store)
        await witness.until(acked)
        assert gateway.hub.observe(Unconcerned(), "bob", answer, asked_at)
        assert not gateway.hub.observe(Unconcerned(), "bob", answer, SystemClock().monotonic())


class Unconcerned:
    """An observer that does nothing."""

    def rows_changed(self, topic: str) -> None: ...

    def user_acked(self, user: str, topic: str) -> None: ...

    def subscriptions_changed(self, user: str) -> None: ...

    def topic_gone(self, topic: str) -> None: ...

    def feed_restarted(self) -> None: ...
