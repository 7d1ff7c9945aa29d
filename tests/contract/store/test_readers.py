"""Joins, acknowledgements, what is unread, and subscriptions."""

from __future__ import annotations

import asyncio

import pytest

from notifyx_common.contracts.store.acks import AckState, Unack
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.search import FoundPage
from notifyx_common.contracts.store.subscriptions import SubscriptionSettings
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.store import Store
from notifyx_topics.settings import Retention
from support.patience import PATIENCE
from support.refusals import refusal
from support.store import user

ANN, BOB = user("ann"), user("bob")
NO_WISHES = SubscriptionSettings()


async def news(store: Store, count: int) -> None:
    """A topic of Ann's with so many notifications."""
    await store.create_topic(ANN, NewTopic(name="news"))
    await more(store, count)


async def more(store: Store, count: int) -> None:
    await asyncio.gather(*(store.enqueue_publish(ANN, "news", KeyedNotification(body="x")) for _ in range(count)))


async def test_where_a_topic_and_a_user_stand(store: Store) -> None:
    await news(store, 10)
    stand = await store.join(BOB, "news")
    assert stand.model_dump(exclude={"topic_id", "version"}) == {
        "topic": "news", "last_seq": 10, "first_seq": 1, "acked_up_to": 0, "unread": 10, "truncated": False,
        "missing": 0, "expired": 0, "subscribed": False, "revision": 0, "restored": False,
        "restored_after": 0,
    }  # fmt: skip
    for since in (0, 4, 10, 99):
        again = await store.join(BOB, "news", since)
        assert (again.truncated, again.missing, again.topic_id) == (False, 0, stand.topic_id), since


async def test_an_empty_topic(store: Store) -> None:
    await news(store, 0)
    stand = await store.join(BOB, "news", 0)
    assert (stand.last_seq, stand.first_seq, stand.unread) == (0, 1, 0)


async def test_acknowledging_up_to_a_seq(store: Store) -> None:
    await news(store, 10)
    for up_to, cursor, unread in ((4, 4, 6), (2, 4, 6), (99, 10, 0), (0, 10, 0)):
        result = await store.ack(BOB, "news", up_to)
        assert (result.acked_up_to, result.unread) == (cursor, unread), up_to
    assert (await store.join(ANN, "news")).unread == 10, "each user stands for themselves"


async def test_acknowledging_single_seqs_moves_the_cursor_when_they_meet_it(store: Store) -> None:
    await news(store, 10)
    for seqs, cursor, unread in (([3, 5], 0, 8), ([3], 0, 8), ([1], 1, 7), ([2], 3, 6), ([99], 3, 6), ([4, 6], 6, 4)):
        result = await store.ack(BOB, "news", None, seqs)
        assert (result.acked_up_to, result.unread) == (cursor, unread), seqs
    stand = await store.join(BOB, "news")
    assert (stand.acked_up_to, stand.unread) == (6, 4)
    assert (await store.unread("bob", "news")).unread == 4


async def test_what_expired_is_told_until_it_is_acknowledged_past(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news", retention=Retention(max_count=4)))
    await store.subscribe(BOB, "news", NO_WISHES)
    await store.join(ANN, "news")
    await more(store, 4)
    await store.ack(BOB, "news", None, [2])
    await more(store, 3)
    async with asyncio.timeout(PATIENCE):
        while (stand := await store.join(BOB, "news")).first_seq < 4:
            await asyncio.sleep(0.02)
    assert (stand.unread, stand.expired, stand.truncated) == (4, 2, False), "2 was acknowledged, 1 and 3 were not"
    assert (await store.subscription(BOB, "news")).expired == 2
    assert (await store.unread("bob", "news")).expired == 2
    assert (await store.join(ANN, "news")).expired == 0, "Ann is not subscribed"
    assert (await store.ack(BOB, "news", None, [5])).expired == 2, "a single seq says nothing about others"
    assert (await store.ack(BOB, "news", 2)).expired == 2, "3 lies behind it"
    assert (await store.ack(BOB, "news", 3)).expired == 0
    assert (await store.subscription(BOB, "news")).unread == 3


async def test_unread_of_those_who_are_not_there(store: Store) -> None:
    await news(store, 3)
    for who, topic, unread in (("bob", "news", 3), ("bob", "none", 0), ("nobody", "user:nobody", 0)):
        result = await store.unread(who, topic)
        assert (result.user, result.topic, result.acked_up_to, result.unread) == (who, topic, 0, unread)


@pytest.mark.parametrize(
    ("principal", "topic", "expected"),
    [
        (ANN, "none", (404, "topic_not_found")),
        (BOB, "secret", (404, "topic_not_found")),
        (BOB, "letterbox", (403, "not_a_reader")),
        (BOB, "user:ann", (404, "topic_not_found")),
        (user("ann", scopes=frozenset({"publish"})), "secret", (403, "missing_scope")),
        (user("ann", topics=("other.*",)), "secret", (403, "topic_not_covered")),
    ],
)
async def test_who_may_not_read(store: Store, principal: Principal, topic: str, expected: tuple[int, str]) -> None:
    await store.create_topic(ANN, NewTopic(name="secret", visibility="private"))
    await store.create_topic(ANN, NewTopic(name="letterbox", visibility="private", publishers=["bob"]))
    await store.join(ANN, "user:ann")
    for call in (
        store.join(principal, topic),
        store.ack(principal, topic, 1),
        store.history(principal, topic),
        store.subscribe(principal, topic, NO_WISHES),
    ):
        assert await refusal(call) == expected


async def test_a_subscription_begins_after_the_newest_and_ends(store: Store) -> None:
    await news(store, 3)
    assert await refusal(store.subscription(BOB, "news")) == (404, "not_subscribed")
    await store.ack(BOB, "news", None, [2])
    begun = await store.subscribe(BOB, "news", SubscriptionSettings(email="every"))
    assert (begun.topic, begun.email, begun.first_seq, begun.acked_up_to, begun.unread) == ("news", "every", 4, 3, 0)
    await more(store, 2)
    assert (await store.join(BOB, "news")).subscribed
    kept = await store.subscribe(BOB, "news", NO_WISHES)
    assert (kept.email, kept.first_seq, kept.unread) == ("every", 4, 2)
    assert await store.subscription(BOB, "news") == kept
    await store.unsubscribe(BOB, "news")
    await store.unsubscribe(BOB, "news")
    assert await refusal(store.subscription(BOB, "news")) == (404, "not_subscribed")
    stand = await store.join(BOB, "news")
    assert (stand.subscribed, stand.acked_up_to, stand.unread) == (False, 0, 5)
    assert await refusal(store.unsubscribe(BOB, "none")) == (404, "topic_not_found")


async def test_the_inbox_is_always_subscribed(store: Store) -> None:
    await news(store, 1)
    await store.subscribe(BOB, "news", NO_WISHES)
    found = await store.subscriptions(BOB)
    assert [(one.topic, one.first_seq, one.unread) for one in found] == [("news", 2, 0), ("user:bob", 1, 0)]
    assert [one.email for one in found] == ["never", "unread"]
    assert await refusal(store.unsubscribe(BOB, "user:bob")) == (403, "inbox_is_fixed")


async def test_a_name_is_taken_once(store: Store) -> None:
    made = await store.create_topic(ANN, NewTopic(name="news", title="News", readers=["Bob@Example.org", "x"]))
    assert (made.name, made.title, made.creators, made.readers) == ("news", "News", ["ann"], ["bob@example.org", "x"])
    assert (made.last_seq, made.first_seq, made.can_publish, made.can_manage) == (0, 1, True, True)
    assert await refusal(store.create_topic(BOB, NewTopic(name="news"))) == (409, "topic_exists")
    assert await refusal(store.delete_topic(BOB, "news")) == (403, "not_a_creator")
    await store.delete_topic(ANN, "news")
    assert await refusal(store.join(ANN, "news")) == (404, "topic_not_found")
    assert (await store.create_topic(BOB, NewTopic(name="news"))).id != made.id


async def found(
    store: Store, who: Principal, text: str, topic: str | None = None, *, limit: int = 50, unread: bool = False
) -> list[tuple[str, int, bool]]:
    """All pages of what a search finds."""
    items: list[tuple[str, int, bool]] = []
    after: str | None = None
    while True:
        raw = await store.search(who, text, topic=topic, unread=unread, limit=limit, after=after)
        page = raw.read(FoundPage)
        items.extend((item["topic"], item["seq"], item["acked"]) for item in page.items)
        if (after := page.next) is None:
            return items


async def test_searching_a_topic_and_the_inbox(store: Store) -> None:
    await news(store, 1)
    await store.create_topic(ANN, NewTopic(name="other"))
    await store.subscribe(BOB, "news", NO_WISHES)
    for content in (
        {"title": "Disk full", "body": "on db-1.example.com"},
        {"body": "The disk is *not* full"},
        {"title": "Deployed", "data": {"host": "db-1.example.com", "code": 503}},
    ):
        await store.publish(ANN, "news", KeyedNotification.model_validate(content))
        await store.publish(ANN, "other", KeyedNotification.model_validate(content))
    expected = {
        "disk": [3, 2], "DISK full": [3, 2], '"disk full"': [2], "disk -not": [2], "dep": [4], "dep ": [],
        "example db-1": [4, 2], "503": [4], "disk_full": [2], "nowhere": [],
    }  # fmt: skip
    for text, seqs in expected.items():
        for topic in ("news", None):
            assert [(name, seq) for name, seq, _ in await found(store, BOB, text, topic)] == [
                ("news", seq) for seq in seqs
            ], (text, topic)
    await store.ack(BOB, "news", None, [3])
    assert await found(store, BOB, "disk", limit=1) == [("news", 3, True), ("news", 2, False)]
    assert await found(store, BOB, "disk", "news", unread=True) == [("news", 2, False)]
    assert await found(store, ANN, "disk") == [], "she subscribes to nothing"
    narrow = Principal(id="bob", kind="api_key", topics=("other",))
    assert await found(store, narrow, "disk") == []
    assert await refusal(store.search(narrow, "disk", topic="news", limit=5)) == (403, "topic_not_covered")
    assert await refusal(store.search(BOB, "disk", topic="nowhere", limit=5)) == (404, "topic_not_found")
    assert await refusal(store.search(BOB, "-disk", limit=5)) == (400, "validation_failed")
    await store.create_topic(ANN, NewTopic(name="secret", visibility="private"))
    await store.publish(ANN, "secret", KeyedNotification(body="disk"))
    assert await refusal(store.search(BOB, "disk", topic="secret", limit=5)) == (404, "topic_not_found")


async def test_taking_acknowledgements_back(store: Store) -> None:
    await news(store, 10)
    stand = await store.unack(BOB, "news", Unack(seqs=[3]))
    assert (stand.acked_up_to, stand.unread, stand.revision) == (0, 10, 0), "he had acknowledged nothing"
    await store.ack(BOB, "news", None, [2, 5, 7])
    await store.ack(BOB, "news", 8)
    for wanted, cursor, unread, revision in (
        (Unack(after=0, up_to=8, keep=[2, 5, 7]), 0, 7, 1),
        (Unack(seqs=[5, 6, 99]), 0, 8, 2),
        (Unack(seqs=[5]), 0, 8, 2),
    ):
        result = await store.unack(BOB, "news", wanted)
        assert (result.acked_up_to, result.unread, result.revision) == (cursor, unread, revision), wanted
    state = (await store.ack_state(BOB, "news")).read(AckState)
    assert (state.acked_up_to, state.seqs, state.revision) == (0, [2, 7], 2), "it grows where something was taken back"
    for known, unread in ((1, 8), (2, 2), (None, 0)):
        result = await store.ack(BOB, "news", 8 if known else 10, revision=known)
        assert (result.unread, result.revision) == (unread, 2), "an acknowledgement from before counts no more"
    assert (await store.unack(BOB, "news", Unack(seqs=[4]))).model_dump() == {
        "topic": "news", "acked_up_to": 3, "unread": 1, "expired": 0, "revision": 3,
    }  # fmt: skip
    joined = await store.join(BOB, "news")
    assert (joined.acked_up_to, joined.unread, joined.revision) == (3, 1, 3)
    for wrong in (Unack(), Unack(after=1), Unack(up_to=3), Unack(seqs=[1], after=1, up_to=3)):
        assert await refusal(store.unack(BOB, "news", wrong)) == (400, "validation_failed")
    assert await refusal(store.unack(BOB, "nowhere", Unack(seqs=[1]))) == (404, "topic_not_found")
