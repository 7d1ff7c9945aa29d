"""Publishing, its idempotency keys and batches, and reading pages of the log."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import orjson
import pytest

from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.batches import BatchResults, ItemError
from notifyx_common.contracts.store.log import PUBLISH, HistoryPage, KeyedNotification, PublishBatch, PublishResult
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.errors import InvalidRequest, NotifyxError
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.store import Store
from notifyx_topics.settings import Retention
from support.patience import PATIENCE
from support.refusals import refusal
from support.store import user

ANN, BOB = user("ann"), user("bob")
HEX = uuid.uuid4().hex


def said(**fields: Any) -> KeyedNotification:
    return KeyedNotification(**fields)


def seqs(page: HistoryPage) -> list[int]:
    return [item["seq"] for item in page.items]


async def batch(store: Store, batch_id: str, principal: Principal, *items: dict[str, Any]) -> list[Any]:
    content = {"batch_id": batch_id, "principals": [principal.model_dump(mode="json")], "items": items}
    answer = await store.client.send(PUBLISH, Raw[PublishBatch](orjson.dumps(content)))
    return answer.read(BatchResults[PublishResult]).results


async def test_a_page_is_the_same_read_with_others_and_refused_as_it_is_alone(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news"))
    await store.create_topic(ANN, NewTopic(name="secret", visibility="private"))
    for number in range(5):
        await store.publish(ANN, "news", said(body=str(number)))
    asked: list[dict[str, Any]] = [
        {"limit": 2}, {"after": 1, "limit": 2}, {"before": 4, "limit": 2}, {"after": 1, "before": 3, "limit": 9},
        {"limit": 101}, {"after": 5, "limit": 1},
    ]  # fmt: skip
    together = await asyncio.gather(*(store.log_page(ANN, "news", **one) for one in asked))
    assert together == [await store.history_json(ANN, "news", **one) for one in asked]
    refused = await asyncio.gather(
        *(store.log_page(BOB, name, limit=3) for name in ("secret", "nothing")), return_exceptions=True
    )
    assert [error.code for error in refused if isinstance(error, NotifyxError)] == ["topic_not_found"] * 2


async def test_seqs_follow_the_order_of_publishing(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news"))
    futures = [store.enqueue_publish(ANN, "news", said(body=str(n))) for n in range(20)]
    results = await asyncio.gather(*futures)
    assert [result.seq for result in results] == list(range(1, 21))
    page = await store.history(ANN, "news")
    assert [item["body"] for item in page.items] == [str(n) for n in range(20)]
    assert [item["id"] for item in page.items] == [result.id for result in results]
    assert page.items[0]["publisher"] == {"id": "ann", "name": "Ann"}


async def test_everything_a_publisher_says_is_in_the_log(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news"))
    given: dict[str, Any] = {
        "title": "Über", "body": 'line\n"quoted"', "data": {"a": [1, 2.5, None, {"b": "ü"}]},
        "priority": "urgent", "expires_at": "2030-01-02T03:04:05Z",
    }  # fmt: skip
    result = await store.publish(ANN, "news", KeyedNotification.model_validate(given))
    (item,) = (await store.history(ANN, "news")).items
    assert item == {
        **given, "id": result.id, "topic": "news", "seq": 1, "publisher": {"id": "ann", "name": "Ann"},
        "published_at": result.published_at, "expires_at": "2030-01-02T03:04:05.000Z",
    }  # fmt: skip


async def test_a_key_is_answered_with_its_first_use(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news", publishers=["bob"]))
    first = await store.publish(ANN, "news", said(body="x", key="k"))
    again = await store.publish(ANN, "news", said(body="x", key="k"))
    assert not first.duplicate
    assert again == first.model_copy(update={"duplicate": True})
    assert await refusal(store.publish(ANN, "news", said(body="y", key="k"))) == (409, "idempotency_conflict")
    assert (await store.publish(BOB, "news", said(body="y", key="k"))).seq == 2, "keys are a publisher's own"


async def test_a_batch_is_published_once(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news"))
    items = {"p": 0, "topic": "news", "body": "x"}, {"p": 0, "topic": "none", "body": "x"}
    first = await batch(store, HEX, ANN, *items)
    assert await batch(store, HEX, ANN, *items) == first
    assert [type(one) for one in first] == [PublishResult, ItemError]
    assert seqs(await store.history(ANN, "news")) == [1]


async def test_a_malformed_item_costs_no_other(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news"))
    sound = {"p": 0, "topic": "news", "body": "x"}
    bad: list[dict[str, Any]] = [{**sound, "p": 7}, {**sound, "priority": "no"}, {**sound, "more": 1}, {"p": 0}]
    results = await batch(store, uuid.uuid4().hex, ANN, sound, *bad, sound)
    assert [one.seq for one in results if isinstance(one, PublishResult)] == [1, 2]
    refused = [one for one in results if isinstance(one, ItemError)]
    assert [(one.status, one.code) for one in refused] == [(400, "validation_failed")] * 4


@pytest.mark.parametrize("depth", [198, 199, 200, 201])
async def test_data_nested_deeply_costs_no_other(store: Store, depth: int) -> None:
    """The depth that a batch holds is less than what an item holds by itself."""
    await store.create_topic(ANN, NewTopic(name="news"))
    nested: dict[str, Any] = {}
    for _ in range(depth - 1):
        nested = {"a": nested}
    deep = store.enqueue_publish(ANN, "news", said(data=nested))
    other = store.enqueue_publish(ANN, "news", said(body="x"))
    outcome, published = await asyncio.gather(deep, other, return_exceptions=True)
    assert isinstance(published, PublishResult)
    assert isinstance(outcome, PublishResult if depth < 199 else InvalidRequest)


@pytest.mark.parametrize(
    ("principal", "topic", "expected"),
    [
        (ANN, "none", (404, "topic_not_found")),
        (BOB, "news", (403, "not_a_publisher")),
        (BOB, "secret", (404, "topic_not_found")),
        (user("ann", scopes=frozenset({"read"})), "news", (403, "missing_scope")),
        (user("ann", topics=("other.*",)), "news", (403, "topic_not_covered")),
    ],
)
async def test_who_may_not_publish(store: Store, principal: Principal, topic: str, expected: tuple[int, str]) -> None:
    await store.create_topic(ANN, NewTopic(name="news"))
    await store.create_topic(ANN, NewTopic(name="secret", visibility="private"))
    assert await refusal(store.publish(principal, topic, said(body="x"))) == expected


async def test_an_inbox_takes_from_anyone_and_shows_to_its_owner(store: Store) -> None:
    assert await refusal(store.publish(BOB, "user:ann", said(body="nobody"))) == (404, "user_not_found")
    assert await store.inboxes(["ann", "eve"], create=False) == []
    assert await store.inboxes(["ann"], create=True) == ["ann"]
    assert await store.inboxes(["ann", "eve"], create=False) == ["ann"]
    assert (await store.publish(BOB, "user:ann", said(body="hello"))).seq == 1
    assert seqs(await store.history(ANN, "user:ann")) == [1]
    assert await refusal(store.history(BOB, "user:ann")) == (404, "topic_not_found")


async def test_pages_of_the_log(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news"))
    await asyncio.gather(*(store.enqueue_publish(ANN, "news", said(body="x")) for _ in range(12)))
    cases: list[tuple[dict[str, int], list[int], int | None]] = [
        ({"limit": 5}, [8, 9, 10, 11, 12], None),
        ({"after": 0, "limit": 5}, [1, 2, 3, 4, 5], 5),
        ({"after": 5, "limit": 5}, [6, 7, 8, 9, 10], 10),
        ({"after": 10, "limit": 5}, [11, 12], None),
        ({"after": 12}, [], None),
        ({"before": 6, "limit": 3}, [3, 4, 5], None),
        ({"before": 3, "limit": 3}, [1, 2], None),
        ({"after": 2, "before": 9, "limit": 3}, [3, 4, 5], 5),
        ({"after": 5, "before": 8, "limit": 3}, [6, 7], None),
    ]
    for bounds, expected, following in cases:
        page = await store.history(ANN, "news", **bounds)
        assert (seqs(page), page.next, page.first_seq, page.last_seq) == (expected, following, 1, 12), bounds
    assert await refusal(store.history(ANN, "news", limit=1001)) == (400, "validation_failed")
    assert await refusal(store.history(ANN, "none")) == (404, "topic_not_found")


async def test_what_retention_took_is_said(store: Store) -> None:
    await store.create_topic(ANN, NewTopic(name="news", retention=Retention(max_count=5)))
    await asyncio.gather(*(store.enqueue_publish(ANN, "news", said(body="x")) for _ in range(12)))
    async with asyncio.timeout(PATIENCE):
        while (stand := await store.join(ANN, "news", 3)).first_seq < 8:
            await asyncio.sleep(0.02)
    assert (stand.truncated, stand.missing, stand.last_seq) == (True, 4, 12)
    assert not (await store.join(ANN, "news", 7)).truncated
    page = await store.history(ANN, "news", after=3, limit=2)
    assert (seqs(page), page.next, page.first_seq, page.last_seq) == ([8, 9], 9, 8, 12)
