"""The inbox's cursor and page form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.errors import InvalidRequest
from notifyx_store.readers.inbox_cursor import NEWEST, InboxCursor
from notifyx_store.readers.inbox_pages import page_json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

places = st.builds(
    InboxCursor,
    st.integers(0, 253_000_000_000_000_000).map(lambda micros: _EPOCH + timedelta(microseconds=micros)),
    st.uuids(),
    st.integers(0, 2**63 - 1),
)


@given(places)
def test_a_cursor_is_read_back_exactly(place: InboxCursor) -> None:
    assert InboxCursor.decode(place.encode()) == place


@given(places)
def test_the_first_page_starts_before_everything(place: InboxCursor) -> None:
    assert place < NEWEST


@given(st.one_of(st.text(max_size=80), st.binary(max_size=40).map(lambda raw: raw.hex())))
def test_what_was_not_given_out_is_refused_or_a_place(cursor: str) -> None:
    try:
        place = InboxCursor.decode(cursor)
    except InvalidRequest:
        return
    assert _EPOCH <= place.published_at <= NEWEST.published_at
    assert place <= NEWEST


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 42, "=" * 44, "A" * 45, "\x00"])
def test_broken_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        InboxCursor.decode(cursor)


@given(st.lists(st.tuples(st.dictionaries(st.text(), st.text(), min_size=1), st.booleans()), max_size=5))
def test_acked_is_added_to_what_was_stored(items: list[tuple[dict[str, str], bool]]) -> None:
    stored = [({key + "_": value for key, value in item.items()}, acked) for item, acked in items]
    raw = page_json([(orjson.dumps(item).decode(), acked) for item, acked in stored], {"next": "c", "unread": {"t": 3}})
    assert json.loads(raw) == {
        "items": [{**item, "acked": acked} for item, acked in stored], "next": "c", "unread": {"t": 3},
    }  # fmt: skip
