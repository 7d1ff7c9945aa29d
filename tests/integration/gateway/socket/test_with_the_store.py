"""The socket before real store replicas on a real database: two gateways, two devices, replicas that go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from notifyx_common.calls.balancer import Endpoint
from notifyx_local.postgres import Cluster
from support.phoenix import Channel, PhoenixClient, Refused
from support.postgres import create_migrated, drop_database
from support.socket_gateway import Gateway, running_gateway
from support.store import SCHEMA, TOKEN, StoreClient, running_store, store_settings, user


@pytest.fixture
async def database(postgres: Cluster) -> AsyncIterator[str]:
    url = await create_migrated(postgres, SCHEMA)
    yield url
    await drop_database(postgres, url)


@pytest.fixture
async def replica(database: str) -> AsyncIterator[StoreClient]:
    async with running_store(store_settings(database)) as client:
        yield client


@pytest.fixture
async def gateways(replica: StoreClient) -> AsyncIterator[tuple[Gateway, Gateway]]:
    async with (
        running_gateway([replica.url], token=TOKEN) as one,
        running_gateway([replica.url], token=TOKEN) as two,
    ):
        yield one, two


def seqs(channel: Channel) -> list[int]:
    return [row["seq"] for row in channel.received]


def sent(channel: Channel) -> list[str]:
    """To whom the channel was told that its user sent something."""
    return [payload["to"] for event, payload in channel.events if event == "sent" and payload["to"] is not None]


def versions(channel: Channel) -> list[str]:
    """The versions of the topic's settings that the channel was told."""
    return [payload["version"] for event, payload in channel.events if event == "topic_changed"]


async def create(client: PhoenixClient, name: str) -> Channel:
    me = await client.channel("user:me")
    await me.push("create_topic", {"name": name})
    return await client.channel(f"topic:{name}")


async def test_published_at_one_gateway_received_at_the_other(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    async with PhoenixClient(one.url, "user.ann") as ann, PhoenixClient(two.url, "user.bob") as bob:
        sender = await create(ann, "news")
        receiver = await bob.channel("topic:news")
        answers = await asyncio.gather(
            *(sender.push("publish", {"title": f"t{n}", "body": "b", "data": {"n": n}}) for n in range(500))
        )
        assert [answer["seq"] for answer in answers] == list(range(1, 501))
        for channel in (sender, receiver):
            await channel.until(lambda c: len(c.received) == 500)
            assert seqs(channel) == list(range(1, 501))
        assert [row["data"]["n"] for row in receiver.received] == list(range(500))
        assert {row["id"] for row in receiver.received} == {answer["id"] for answer in answers}
        assert receiver.received[0]["publisher"]["id"] == "ann"
        late = await PhoenixClient(two.url, "user.cyd").__aenter__()
        try:
            resumed = await late.channel("topic:news", since=100)
            await resumed.until(lambda c: len(c.received) == 400)
            assert seqs(resumed) == list(range(101, 501))
        finally:
            await late.__aexit__(None, None, None)


async def test_an_idempotency_key_is_answered_once_and_told_once(gateways: tuple[Gateway, Gateway]) -> None:
    async with PhoenixClient(gateways[0].url, "user.ann") as ann:
        sender = await create(ann, "news")
        first = await sender.push("publish", {"body": "x", "key": "k1"})
        again = await sender.push("publish", {"body": "x", "key": "k1"})
        assert (first["id"], first["seq"]) == (again["id"], again["seq"])
        assert again["duplicate"] is True
        with pytest.raises(Refused):
            await sender.push("publish", {"body": "another", "key": "k1"})
        await sender.push("publish", {"body": "y"})
        await sender.until(lambda c: len(c.received) == 2)
        assert seqs(sender) == [1, 2]


async def test_two_devices_at_two_gateways_see_the_same_unread(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    async with PhoenixClient(one.url, "user.ann") as phone, PhoenixClient(two.url, "user.ann") as laptop:
        on_phone = await create(phone, "news")
        await on_phone.push("subscribe", {})
        on_laptop, me = await laptop.channel("topic:news"), await laptop.channel("user:me")
        await me.until(lambda c: ("unread", {"topic": "news", "unread": 0, "expired": 0}) in c.events)
        for n in range(6):
            await on_phone.push("publish", {"body": f"n{n}"})
        await me.until(lambda c: c.events[-1] == ("unread", {"topic": "news", "unread": 6, "expired": 0}))
        assert await on_phone.push("ack", {"up_to": 4}) == {"acked_up_to": 4, "unread": 2, "expired": 0, "revision": 0}
        await on_laptop.until(lambda c: any(event == "acked" and body["up_to"] == 4 for event, body in c.events))
        await me.until(lambda c: c.events[-1] == ("unread", {"topic": "news", "unread": 2, "expired": 0}))
        assert await on_laptop.push("ack", {"seqs": [6]}) == {
            "acked_up_to": 4,
            "unread": 1,
            "expired": 0,
            "revision": 0,
        }
        await on_phone.until(lambda c: any(event == "acked" for event, _ in c.events))
        told = [body for event, body in on_phone.events if event == "acked"]
        assert [body["unread"] for body in told] == [1]
        assert on_phone.received == on_laptop.received


async def test_what_one_sends_is_told_to_ones_other_devices(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    async with (
        PhoenixClient(one.url, "user.ann") as laptop,
        PhoenixClient(two.url, "user.ann") as phone,
        PhoenixClient(two.url, "user.bob") as bob,
    ):
        mine, elsewhere, theirs = [await client.channel("user:me") for client in (laptop, phone, bob)]
        for text in ("one", "two"):
            await mine.push("send", {"to": "bob", "body": text})
        await theirs.until(lambda c: len(c.received) == 2)
        for channel in (mine, elsewhere):
            await channel.until(lambda c: sent(c) == ["bob", "bob"])
        assert sent(theirs) == []
        await elsewhere.push("send", {"to": "ann", "body": "to myself"})
        await mine.until(lambda c: sent(c)[2:] == ["ann"])
        two.hub.on_connected()  # as after another store node was connected to: some may have been missed
        await elsewhere.until(lambda c: c.events[-1] == ("sent", {"to": None}))


async def test_a_deleted_topic_ends_everywhere(gateways: tuple[Gateway, Gateway], replica: StoreClient) -> None:
    one, two = gateways
    async with PhoenixClient(one.url, "user.ann") as ann, PhoenixClient(two.url, "user.bob") as bob:
        await create(ann, "news")
        channel = await bob.channel("topic:news")
        await replica.ok("DELETE", "/topics/news", user("ann"))
        await channel.until(lambda c: len(c.events) == 2)
        assert [event for event, _ in channel.events] == ["topic_deleted", "phx_close"]


async def test_reading_can_be_taken_away(gateways: tuple[Gateway, Gateway], replica: StoreClient) -> None:
    one, two = gateways
    async with PhoenixClient(one.url, "user.ann") as ann, PhoenixClient(two.url, "user.bob") as bob:
        hers = await create(ann, "news")
        his = await bob.channel("topic:news")
        before = hers.state["version"]
        assert before == his.state["version"] != ""
        for number in range(5):
            change = {"title": f"News {number}", "paused": number % 2 == 1}
            await replica.ok("PATCH", "/topics/news", user("ann"), change)
        now = (await hers.join())["version"]
        assert (await replica.ok("GET", "/topics/news", user("ann")))["version"] == now
        await his.until(lambda c: versions(c)[-1:] == [now])
        told, seen = versions(his), len(versions(hers))
        assert before not in told
        assert len(set(told)) == len(told) <= 5, "each once, and not all of those in between"
        await replica.ok("PATCH", "/topics/news", user("ann"), {"visibility": "private"})
        await his.until(lambda c: c.events[-1:] == [("phx_error", {})])
        assert versions(his) == told, "nothing of settings by which he may not read"
        await hers.until(lambda c: len(versions(c)) > seen)
        assert (await hers.push("publish", {"body": "still here"}))["seq"] == 1
        with pytest.raises(Refused, match="not found"):
            await his.join()


async def test_replicas_that_stop_and_come_cost_nothing(database: str) -> None:
    settings = store_settings(database)
    async with AsyncExitStack() as stack:
        first_stack = await stack.enter_async_context(AsyncExitStack())
        first = await first_stack.enter_async_context(running_store(settings))
        second = await stack.enter_async_context(running_store(settings))
        gateway = await stack.enter_async_context(running_gateway([first.url], token=TOKEN))
        ann = await stack.enter_async_context(PhoenixClient(gateway.url, "user.ann"))
        bob = await stack.enter_async_context(PhoenixClient(gateway.url, "user.bob"))
        sender = await create(ann, "news")
        receiver = await bob.channel("topic:news")
        accepted: list[int] = []

        async def publish() -> None:
            for n in range(600):
                answer = await sender.push("publish", {"body": f"n{n}", "key": f"k{n}"})
                accepted.append(answer["seq"])

        work = asyncio.create_task(publish())
        await receiver.until(lambda c: len(c.received) > 100)
        gateway.discovery.replace("store", [Endpoint(first.url, first.url), Endpoint(second.url, second.url)])
        await first_stack.aclose()
        await receiver.until(lambda c: len(c.received) > 300)
        third = await stack.enter_async_context(running_store(settings))
        gateway.discovery.replace("store", [Endpoint(third.url, third.url)])
        await work
        assert accepted == list(range(1, 601))
        await receiver.until(lambda c: len(c.received) >= 600)
        assert seqs(receiver) == list(range(1, 601))
        assert bob.connections == 1
