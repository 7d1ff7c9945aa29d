"""The feed's wire form and its bounded queue."""

from __future__ import annotations

from uuid import UUID

import orjson
import pytest

from notifyx_common.contracts.store.feed import BETWEEN, Ping, Position, Watch
from notifyx_common.errors import InvalidRequest
from notifyx_store.feed import connection as feed_connection
from notifyx_store.feed import messages
from notifyx_store.feed.connection import FeedConnection
from notifyx_store.feed.core import FeedRow
from notifyx_store.readers.topic_changes import restricted_readers
from notifyx_store.topics.permissions import TopicRow


def test_a_rows_frame_is_a_header_and_the_payloads() -> None:
    frame = messages.rows_frame("t", 4, 6, [FeedRow(4, '{"seq":4}', 11), FeedRow(6, '{"seq":6}', 12)], 99)
    head, *lines = frame.split("\n")
    assert orjson.loads(head) == {
        "type": "rows", "topic": "t", "from": 4, "to": 6, "count": 2, "published_ms": 11,
    }  # fmt: skip
    assert lines == ['{"seq":4}', '{"seq":6}']


def test_a_rows_frame_of_what_expired_has_no_lines() -> None:
    assert orjson.loads(messages.rows_frame("t", 1, 2, [], 99))["published_ms"] == 99


def test_operations() -> None:
    text = '{"op":"watch","topics":{"a.b":{"id":"00000000-0000-0000-0000-000000000007","after":3}}}'
    assert messages.parse(text) == Watch(op="watch", topics={"a.b": Position(id=UUID(int=7), after=3)})
    assert messages.parse(b'{"op":"ping","n":2}') == Ping(op="ping", n=2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"op":"fly"}',
        '{"op":"watch","topics":{"A B":{"id":"x","after":0}}}',
        '{"op":"watch","topics":{"a":{"id":"00000000-0000-0000-0000-000000000007","after":-1}}}',
        '{"op":"watch_users","users":[1]}',
        '{"op":"ping","n":1,"more":2}',
        b"\xff",
    ],
)
def test_malformed_operations(text: str | bytes) -> None:
    with pytest.raises(InvalidRequest):
        messages.parse(text)


async def test_a_queue_holds_back_rows_then_asks_for_them_then_gives_up() -> None:
    drained: list[FeedConnection] = []
    connection = FeedConnection(high_water=10, limit=40, drained=drained.append)
    connection.put("x" * 12)
    assert not connection.accepts_rows()
    assert await connection.get() == "x" * 12
    assert drained == [connection]
    assert connection.accepts_rows()
    connection.put("y" * 41)
    assert connection.closed.is_set()
    assert "slowly" in connection.reason
    assert not connection.accepts_rows()


@pytest.mark.parametrize(
    ("before", "changes", "expected"),
    [
        ({"visibility": "public"}, {"visibility": "private", "readers": ["b"]}, ["a", "b"]),
        ({"visibility": "private", "readers": ("b",)}, {"readers": ["c"]}, ["a", "c"]),
        ({"visibility": "private", "readers": ("*",)}, {"readers": []}, ["a"]),
        ({"visibility": "private", "readers": ("b",)}, {"readers": ["b", "c"]}, None),
        ({"visibility": "private", "readers": ("b",)}, {"visibility": "public", "readers": []}, None),
        ({"visibility": "private", "readers": ("b",)}, {"title": "t"}, None),
        ({"visibility": "public"}, {"readers": []}, None),
    ],
)
def test_who_has_to_be_on_the_list_after_a_change(
    before: dict[str, object], changes: dict[str, object], expected: list[str] | None
) -> None:
    facts = TopicRow(UUID(int=1), "t", creators=("a",), **before)  # type: ignore[arg-type]
    assert restricted_readers(facts, changes) == expected


async def test_a_gateway_that_accepts_it_gets_what_is_queued_in_one_frame_up_to_a_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_connection, "JOINED_SIZE", 40)
    drained: list[FeedConnection] = []
    connection = FeedConnection(high_water=100, limit=1000, drained=drained.append, joined=True)
    rows = [messages.rows_frame(f"t{n}", 1, 2, [FeedRow(1, "{}", 1), FeedRow(2, "{}", 1)], 9) for n in range(3)]
    connection.put(rows[0])
    assert await connection.get() == rows[0], "nothing waits for what may follow"
    short = [messages.pong_frame(n) for n in range(3)]
    for frame in (*short, *rows):
        connection.put(frame)
    assert not connection.accepts_rows()
    assert (await connection.get()).split(BETWEEN) == short[:2], "40 characters are reached"
    assert (await connection.get()).split(BETWEEN) == [short[2], rows[0]]
    assert [await connection.get() for _ in range(2)] == rows[1:], "long ones as they are"
    assert drained == [connection]
