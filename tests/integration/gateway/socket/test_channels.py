"""The channels, through a real socket, against a peer that speaks the store's contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from notifyx_common.contracts.store.names import MAX_BODY
from notifyx_gateway.sizes import DEFAULT_SIZES
from support.memory_store import MemoryStore
from support.patience import until
from support.phoenix import Channel, PhoenixClient, Refused
from support.socket_gateway import Gateway, running_gateway


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        store.topic("news")
        yield store


@pytest.fixture
async def gateway(memory: MemoryStore) -> AsyncIterator[Gateway]:
    async with running_gateway([memory.url]) as running:
        yield running


async def test_publish_reaches_every_subscriber_in_order(gateway: Gateway) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann, PhoenixClient(gateway.url, "user.bob") as bob:
        sender, receiver = await ann.channel("topic:news"), await bob.channel("topic:news")
        answers = await asyncio.gather(*(sender.push("publish", {"body": f"n{i}"}) for i in range(300)))
        assert [answer["seq"] for answer in answers] == list(range(1, 301))
        for channel in (sender, receiver):
            await channel.until(lambda c: len(c.received) == 300)
            assert [row["seq"] for row in channel.received] == list(range(1, 301))
            assert [row["body"] for row in channel.received] == [f"n{i}" for i in range(300)]


async def test_publishes_of_a_tick_share_requests(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        sender = await ann.channel("topic:news")
        await asyncio.gather(*(sender.push("publish", {"body": "x"}) for _ in range(200)))
    publishes = [batch for path, batch in memory.batches if path.endswith("/publish")]
    assert sum(len(batch["items"]) for batch in publishes) == 200
    assert len(publishes) < 60
    assert all(len(batch["principals"]) == 1 for batch in publishes)


async def test_join_with_since_resumes_from_there(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "old", count=950)
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news", since=20)
        assert channel.state["last_seq"] == 950
        assert channel.state["truncated"] is False
        memory.append("news", "new", count=50)
        await channel.until(lambda c: len(c.received) == 980)
        assert [row["seq"] for row in channel.received] == list(range(21, 1001))


async def test_who_resumes_one_after_the_other_shares_a_read_of_the_log(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "old", count=20)
    for name in ("user.ann", "user.bob", "user.ann"):
        async with PhoenixClient(gateway.url, name) as client:
            channel = await client.channel("topic:news", since=15)
            await channel.until(lambda c: len(c.received) == 5)
            assert [row["seq"] for row in channel.received] == list(range(16, 21))
    assert memory.histories == 1


async def test_catching_up_while_publishes_go_on(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "old", count=700)

    async def publish() -> None:
        for _ in range(300):
            memory.append("news", "new")
            await asyncio.sleep(0)

    async with PhoenixClient(gateway.url, "user.ann") as ann:
        work = asyncio.create_task(publish())
        channels = [await ann.channel("topic:news", since=since) for since in (0, 650)]
        await work
        await channels[-1].until(lambda c: bool(c.received) and c.received[-1]["seq"] == 1000)
        assert [row["seq"] for row in channels[-1].received] == list(range(651, 1001))


async def test_truncated_is_said(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "old", count=10)
    memory.topics["news"].remove_up_to(4)
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news", since=1)
        assert channel.state["truncated"] is True
        assert channel.state["first_seq"] == 5
        await channel.until(lambda c: len(c.received) == 6)
        assert [row["seq"] for row in channel.received] == list(range(5, 11))


async def test_a_resume_delivers_nothing_that_its_answer_calls_missing(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann, PhoenixClient(gateway.url, "user.bob") as bob:
        listener = await bob.channel("topic:news")
        memory.append("news", "x", count=40)
        await listener.until(lambda c: len(c.received) == 40)  # the gateway has them all
        topic = memory.topics["news"]
        topic.remove_up_to(35)
        del topic.log[38]  # it expired by itself
        channel = await ann.channel("topic:news", since=2)
        assert (channel.state["first_seq"], channel.state["missing"]) == (36, 34)
        memory.append("news", "new")
        await channel.until(lambda c: c.received[-1:] != [] and c.received[-1]["seq"] == 41)
        assert [row["seq"] for row in channel.received] == [36, 37, 39, 40, 41]


async def test_ack_reaches_the_other_device_and_not_the_own(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "old", count=5)
    async with PhoenixClient(gateway.url, "user.ann") as one, PhoenixClient(gateway.url, "user.ann") as two:
        mine, other = await one.channel("topic:news"), await two.channel("topic:news")
        assert await mine.push("ack", {"up_to": 3}) == {"acked_up_to": 3, "unread": 2, "expired": 0, "revision": 0}
        await other.until(
            lambda c: ("acked", {"up_to": 3, "seqs": [], "unread": 2, "expired": 0, "revision": 0}) in c.events
        )
        assert await other.push("ack", {"seqs": [5]}) == {"acked_up_to": 3, "unread": 1, "expired": 0, "revision": 0}
        await mine.until(
            lambda c: ("acked", {"up_to": 3, "seqs": [5], "unread": 1, "expired": 0, "revision": 0}) in c.events
        )
        assert [event for event, _ in mine.events] == ["acked"]
        assert [event for event, _ in other.events] == ["acked"]
        # What is taken back reaches all devices, also the one that did it: it replaces the position they know.
        assert await other.push("unack", {"seqs": [2, 5]}) == {
            "acked_up_to": 1, "unread": 3, "expired": 0, "revision": 1,
        }  # fmt: skip
        taken_back = {"up_to": 1, "seqs": [3], "unread": 3, "expired": 0, "revision": 1}
        for device in (mine, other):
            await device.until(lambda c: ("acked", taken_back) in c.events)
        assert (await mine.push("ack", {"up_to": 3, "revision": 0}))["acked_up_to"] == 1, "made before that"
        assert (await mine.push("ack", {"up_to": 3, "revision": 1}))["acked_up_to"] == 3


async def test_unread_on_every_device_of_the_user(gateway: Gateway, memory: MemoryStore) -> None:
    memory.topic("news").subscribe("ann")
    async with PhoenixClient(gateway.url, "user.ann") as one, PhoenixClient(gateway.url, "user.ann") as two:
        me, too = await one.channel("user:me"), await two.channel("user:ann")
        for device in (me, too):
            await device.until(lambda c: ("unread", {"topic": "news", "unread": 0, "expired": 0}) in c.events)
        memory.append("news", "x", count=3)
        for device in (me, too):
            await device.until(lambda c: c.events[-1] == ("unread", {"topic": "news", "unread": 3, "expired": 0}))
        channel = await one.channel("topic:news")
        await channel.push("ack", {"up_to": 2})
        for device in (me, too):
            await device.until(lambda c: c.events[-1] == ("unread", {"topic": "news", "unread": 1, "expired": 0}))


def counted(*unread: int) -> Callable[[Channel], bool]:
    """Whether a user channel was pushed these counts of ``news``, one after the other."""

    def holds(me: Channel) -> bool:
        return [body["unread"] for event, body in me.events if (event, body.get("topic")) == ("unread", "news")] == [
            *unread
        ]

    return holds


async def test_unread_is_pushed_again_after_a_position_said_another_number(
    gateway: Gateway, memory: MemoryStore
) -> None:
    memory.topic("news").subscribe("ann")
    memory.append("news", "x")
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        me, news = await ann.channel("user:me"), await ann.channel("topic:news")
        await me.until(counted(1))
        await memory.acked("news", "ann", 1)
        memory.append("news", "y")
        await news.until(lambda c: [body["unread"] for event, body in c.events if event == "acked"] == [0])
        await me.until(counted(1, 1))


async def test_unread_is_pushed_again_after_a_join_was_answered_late(gateway: Gateway, memory: MemoryStore) -> None:
    memory.topic("news").subscribe("ann")
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        me = await ann.channel("user:me")
        await me.until(counted(0))
        memory.telling_positions.clear()
        asked = memory.positions_read
        joining = asyncio.create_task(ann.channel("topic:news"))
        await until(lambda: memory.positions_read > asked, "the join was asked")
        memory.append("news", "x")
        await me.until(counted(0, 1))
        memory.telling_positions.set()
        assert (await joining).state["unread"] == 0
        await me.until(counted(0, 1, 1))


async def test_subscribe_and_unsubscribe_change_what_is_counted(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "x")
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        me, news = await ann.channel("user:me"), await ann.channel("topic:news")
        assert (await news.push("subscribe", {"email": "never"}))["topic"] == "news"
        # A subscription begins after the newest notification.
        await me.until(lambda c: ("unread", {"topic": "news", "unread": 0, "expired": 0}) in c.events)
        memory.append("news", "x")
        await me.until(lambda c: ("unread", {"topic": "news", "unread": 1, "expired": 0}) in c.events)
        assert await news.push("unsubscribe", {}) == {}


async def test_direct_messages(gateway: Gateway) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann, PhoenixClient(gateway.url, "user.bob") as bob:
        sender, inbox = await ann.channel("user:me"), await bob.channel("user:me")
        for number in range(5):
            answer = await sender.push("send", {"to": "bob@example.org", "body": f"hello {number}"})
        assert answer["seq"] == 5
        await inbox.until(lambda c: len(c.received) == 5)
        assert inbox.received[0]["topic"] == "user:bob"
        assert [row["body"] for row in inbox.received] == [f"hello {n}" for n in range(5)]
        with pytest.raises(Refused, match="user_not_found"):
            await sender.push("send", {"to": "nobody@example.org", "body": "x"})


async def test_create_topic_and_history(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        me = await ann.channel("user:me")
        assert (await me.push("create_topic", {"name": "fresh"}))["name"] == "fresh"
        with pytest.raises(Refused, match="topic_exists"):
            await me.push("create_topic", {"name": "fresh"})
        memory.append("fresh", "x", count=30)
        fresh = await ann.channel("topic:fresh")
        page = await fresh.push("history", {"before": 21, "limit": 10})
        assert [item["seq"] for item in page["items"]] == list(range(11, 21))


@pytest.mark.parametrize("length", [DEFAULT_SIZES.body + 1, MAX_BODY + 1])
async def test_a_body_that_is_too_long_is_told_the_limit_of_the_deployment(gateway: Gateway, length: int) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        note = {"body": "x" * length}
        for name, event, payload in (
            ("topic:news", "publish", note),
            ("user:me", "send", {"to": "bob@example.org", **note}),
        ):
            channel = await ann.channel(name)
            with pytest.raises(Refused) as rejected:
                await channel.push(event, payload)
            assert f"body: Use at most {DEFAULT_SIZES.body} characters." in str(rejected.value.response), name


@pytest.mark.parametrize(
    ("event", "payload", "code"),
    [
        ("publish", {}, "empty_notification"),
        ("publish", {"body": 7}, "validation_failed"),
        ("publish", {"body": "x", "colour": "red"}, "validation_failed"),
        ("publish", {"body": "x", "data": {"x": "y" * 100_000}}, "data_too_large"),
        ("publish", ["body"], "invalid_request"),
        ("ack", {}, "validation_failed"),
        ("ack", {"up_to": 1, "seqs": [1]}, "validation_failed"),
        ("ack", {"up_to": -1}, "validation_failed"),
        ("ack", {"up_to": "1"}, "validation_failed"),
        ("history", {"limit": 100_000}, "validation_failed"),
        ("subscribe", {"email": "sometimes"}, "validation_failed"),
        ("dance", {}, "unknown_event"),
    ],
)
async def test_refused_messages_are_answered(gateway: Gateway, event: str, payload: object, code: str) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        with pytest.raises(Refused) as rejected:
            await channel.push(event, payload)  # type: ignore[arg-type]
        assert rejected.value.response["code"] == code
        assert rejected.value.response["reason"]
        assert (await channel.push("publish", {"body": "still there"}))["seq"] == 1


@pytest.mark.parametrize(
    ("topic", "params", "code", "reason"),
    [
        ("topic:none", {}, "topic_not_found", "not found"),
        ("topic:secret", {}, "not_a_reader", "unauthorized"),
        ("user:bob", {}, "other_user", "unauthorized"),
        ("room:lobby", {}, "unmatched_topic", "unmatched topic"),
        ("topic:BAD NAME", {}, "validation_failed", None),
        ("topic:news", {"since": -1}, "validation_failed", None),
        ("topic:news", {"since": "1"}, "validation_failed", None),
    ],
)
async def test_refused_joins_are_answered(
    gateway: Gateway, memory: MemoryStore, topic: str, params: dict[str, object], code: str, reason: str | None
) -> None:
    memory.topic("secret").restrict()
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        with pytest.raises(Refused) as rejected:
            await ann.channel(topic, **params)
        assert rejected.value.response["code"] == code
        assert reason is None or rejected.value.response["reason"] == reason


async def test_a_refusal_costs_only_its_own_caller(gateway: Gateway, memory: MemoryStore) -> None:
    memory.topic("closed").publishers = ()
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        closed, news = await ann.channel("topic:closed"), await ann.channel("topic:news")
        answers = await asyncio.gather(
            *(channel.push("publish", {"body": "x"}) for channel in (closed, news) for _ in range(3)),
            return_exceptions=True,
        )
        assert [isinstance(answer, Refused) for answer in answers] == [True] * 3 + [False] * 3


async def test_a_deleted_topic_is_told_and_its_channel_closed(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann:
        channel = await ann.channel("topic:news")
        await memory.delete("news")
        await channel.until(lambda c: len(c.events) == 2)
        assert [event for event, _ in channel.events] == ["topic_deleted", "phx_close"]
        memory.topic("news")
        again = await ann.channel("topic:news")
        memory.append("news", "a new one")
        await again.until(lambda c: [row["body"] for row in c.received] == ["a new one"])


async def test_lost_permission_ends_the_channel(gateway: Gateway, memory: MemoryStore) -> None:
    async with PhoenixClient(gateway.url, "user.ann") as ann, PhoenixClient(gateway.url, "user.bob") as bob:
        hers, his = await ann.channel("topic:news"), await bob.channel("topic:news")
        memory.topic("news").restrict("bob")
        await memory.send({"type": "topic_changed", "topic": "news"})
        await hers.until(lambda c: c.events[-1:] == [("phx_error", {})])
        memory.append("news", "for those who may")
        await his.until(lambda c: len(c.received) == 1)
        assert hers.received == []
        with pytest.raises(Refused, match="unauthorized"):
            await hers.join()
