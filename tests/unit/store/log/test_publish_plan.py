"""Numbering a batch: contiguous per topic in item order, whatever is refused or repeated between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.contracts.store.log import PublishBatch, PublishItem
from notifyx_common.errors import InvalidRequest
from notifyx_common.principal import Principal
from notifyx_store.base.batches import ReadBatch, read_batch
from notifyx_store.log.publish_plan import EarlierPublish, PublishPlan, assign_seqs, validate
from notifyx_store.topics.permissions import TopicRow

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN, BOB = Principal(id="ann", name="Ann"), Principal(id="bob")
TOPICS = {
    "news": TopicRow(UUID(int=1), "news", creators=("ann",), last_seq=7),
    "wall": TopicRow(UUID(int=2), "wall", publishers=("*",), created_by="eve"),
    "declared": TopicRow(UUID(int=5), "declared", publishers=("*",), created_by="eve", resource="team/declared"),
    "quiet": TopicRow(UUID(int=3), "quiet", publishers=("*",), paused=True),
    "user:ann": TopicRow(UUID(int=4), "user:ann", kind="inbox", visibility="private"),
}


def plan(
    *items: dict[str, Any],
    used: dict[Any, EarlierPublish] | None = None,
    room: dict[UUID, int] | None = None,
    now: datetime = NOW,
    full: frozenset[str] = frozenset(),
) -> PublishPlan:
    batch = ReadBatch([ANN, BOB], [PublishItem.model_validate({"p": 0, "topic": "news", **item}) for item in items])
    candidates, rejected = validate(batch, TOPICS)
    return assign_seqs(len(items), candidates, rejected, used or {}, room or {}, now, full=full)


def outcome(planned: PublishPlan) -> list[Any]:
    return [result.get("seq", result.get("code")) for result in planned.results]


def test_refused_items_leave_no_hole() -> None:
    planned = plan(
        {"title": "a"},
        {"title": "b", "p": 1},
        {"title": "c", "topic": "nowhere"},
        {"title": "d", "topic": "wall", "p": 1},
        {"title": ""},
        {"title": "e"},
        {"title": "f", "topic": "quiet"},
        {"title": "g", "expires_at": NOW - timedelta(seconds=1)},
        {"title": "h", "data": {"k": "x" * 140_000}},
        {"title": "i"},
    )
    assert outcome(planned) == [
        8,
        "not_a_publisher",
        "topic_not_found",
        1,
        "empty_notification",
        9,
        "topic_paused",
        "validation_failed",
        "data_too_large",
        10,
    ]
    assert [(run.topic.name, run.first, run.last, len(run.payloads)) for run in planned.runs] == [
        ("news", 8, 10, 3),
        ("wall", 1, 1, 1),
    ]


def test_a_key_repeated_within_a_batch_and_one_used_before() -> None:
    first = plan({"title": "a", "key": "k1"}, {"title": "a", "key": "k1"}, {"title": "b", "key": "k1"})
    assert outcome(first) == [8, 8, "idempotency_conflict"]
    assert [result.get("duplicate") for result in first.results] == [False, True, None]
    key, digest, _, result = first.keys[0]
    again = plan({"title": "a", "key": "k1"}, used={key: EarlierPublish(digest, orjson.loads(result))})
    assert again.results == [{**first.results[0], "duplicate": True}]
    assert again.runs == []


def test_a_repeated_key_is_answered_even_where_a_new_publish_would_be_refused() -> None:
    wish = {"title": "a", "key": "k", "expires_at": NOW + timedelta(seconds=5)}
    first = plan(wish)
    key, digest, _, result = first.keys[0]
    later = plan(wish, used={key: EarlierPublish(digest, orjson.loads(result))}, now=NOW + timedelta(hours=1))
    assert outcome(later) == [8]


def test_keys_of_two_publishers_are_two_keys() -> None:
    wish = {"title": "a", "key": "k", "topic": "wall"}
    assert outcome(plan(wish, {**wish, "title": "b", "p": 1})) == [1, 2]


def test_the_payload_is_the_notification_on_the_wire() -> None:
    planned = plan(
        {"title": "ü", "data": {"a": [1, None]}, "expires_at": "2026-01-02T04:04:05+01:00"}, now=NOW.replace(hour=1)
    )
    assert orjson.loads(planned.payloads[0]) == {
        "id": f"{UUID(int=1).hex}-8",
        "topic": "news",
        "seq": 8,
        "title": "ü",
        "body": "",
        "data": {"a": [1, None]},
        "priority": "normal",
        "publisher": {"id": "ann", "name": "Ann"},
        "published_at": "2026-01-02T01:04:05.000Z",
        "expires_at": "2026-01-02T03:04:05.000Z",
    }


def test_an_expiry_in_the_past_is_refused() -> None:
    assert outcome(plan({"title": "a", "expires_at": "2026-01-02T03:04:05Z"})) == ["validation_failed"]


def test_data_that_cannot_be_encoded_is_refused() -> None:
    nested: dict[str, Any] = {}
    for _ in range(400):
        nested = {"n": nested}
    assert outcome(plan({"data": nested}, {"data": {"n": 2**70}, "key": "k"}, {"title": "ok"})) == [
        "validation_failed",
        "validation_failed",
        8,
    ]


items = st.fixed_dictionaries(
    {
        "p": st.integers(0, 1),
        "topic": st.sampled_from(["news", "wall", "quiet", "nowhere"]),
        "title": st.sampled_from(["", "a", "b"]),
        "key": st.sampled_from([None, None, "k1", "k2"]),
    }
)


@given(st.lists(items, min_size=1, max_size=40))
def test_numbers_are_contiguous_and_in_item_order(wishes: list[dict[str, Any]]) -> None:
    planned = plan(*wishes)
    assert all(result is not None for result in planned.results)
    for run in planned.runs:
        fresh = [
            result["seq"]
            for result in planned.results
            if result.get("topic") == run.topic.name and not result["duplicate"]
        ]
        assert fresh == list(range(run.topic.last_seq + 1, run.last + 1))
        assert run.first == run.topic.last_seq + 1
        assert [orjson.loads(payload)["seq"] for payload in run.payloads] == fresh
    assert len(planned.seqs) == len(planned.payloads) == sum(len(run.payloads) for run in planned.runs)


def test_one_malformed_item_is_refused_in_its_place() -> None:
    good = {"p": 0, "topic": "news", "title": "a"}
    data = {
        "batch_id": "0" * 32,
        "principals": [ANN.model_dump(mode="json")],
        "items": [good, {**good, "title": 5}, "what", {**good, "p": 3}, {**good, "extra": 1}, good],
    }
    batch = read_batch(PublishBatch, PublishItem, data)
    assert [one.code if isinstance(one, ItemError) else "ok" for one in batch.items] == [
        "ok",
        "validation_failed",
        "validation_failed",
        "validation_failed",
        "validation_failed",
        "ok",
    ]
    assert batch.batch_id == "0" * 32


@pytest.mark.parametrize(
    "change",
    [{"batch_id": "x"}, {"principals": 3}, {"items": []}, {"items": "no"}, {"items": [{}] * 1001}, {"more": 1}],
)
def test_a_malformed_batch_is_refused_as_a_whole(change: dict[str, Any]) -> None:
    data = {"batch_id": "0" * 32, "principals": [], "items": [{"p": 0, "topic": "news", "title": "a"}], **change}
    with pytest.raises(InvalidRequest):
        read_batch(PublishBatch, PublishItem, data)


def test_a_batch_of_malformed_items_only_is_answered_item_by_item() -> None:
    batch = read_batch(PublishBatch, PublishItem, {"batch_id": "0" * 32, "principals": [], "items": [1, None]})
    assert [one.status for one in batch.items if isinstance(one, ItemError)] == [400, 400]


def test_a_full_inbox_rejects_what_is_new_and_only_that() -> None:
    inbox = {"topic": "user:ann", "title": "x"}
    planned = plan({**inbox, "key": "k"}, {"title": "x"}, inbox, inbox, {**inbox, "key": "k"}, room={UUID(int=4): 2})
    assert outcome(planned) == [1, 8, 2, "inbox_full", 1]
    assert planned.inbox_full == 1
    assert [(run.topic.name, run.last) for run in planned.runs] == [("user:ann", 2), ("news", 8)]
    assert outcome(plan({"topic": "user:eve", "title": "x"})) == ["user_not_found"]


def test_an_account_that_stores_too_much_gets_nothing_new_in_topics_of_its_own() -> None:
    eve = frozenset({"eve"})
    on_wall = {"topic": "wall", "title": "x"}
    first = plan({**on_wall, "key": "k"})
    key, digest, _, result = first.keys[0]
    used = {key: EarlierPublish(digest, orjson.loads(result))}
    declared, inbox = {"topic": "declared", "title": "x"}, {"topic": "user:ann", "title": "x"}
    planned = plan({**on_wall, "key": "k"}, on_wall, {"title": "x"}, declared, inbox, used=used, full=eve)
    assert outcome(planned) == [1, "account_storage_full", 8, 1, 1]
    assert planned.results[1]["status"] == 409
    assert (planned.account_full, planned.inbox_full) == (1, 0)
    assert outcome(plan(on_wall, full=frozenset({"ann"}))) == [1]
