"""The division into batches, and invalid base URLs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx.errors import InvalidRequest
from notifyx.publishing import MAX_BYTES, MAX_ITEMS, Message, batches
from notifyx.transport import base_url
from notifyx_gateway.rest.requests import BatchItem


@given(st.lists(st.integers(0, 40_000), max_size=500))
def test_batches_keep_the_order_and_their_bounds(sizes: list[int]) -> None:
    messages = [Message("t", "x" * size) for size in sizes]
    made = list(batches(messages))
    assert [message for batch in made for message in batch] == messages
    for batch in made:
        assert 1 <= len(batch) <= MAX_ITEMS
        assert len(json.dumps([message.item() for message in batch])) <= MAX_BYTES + 1000 or len(batch) == 1


def test_a_message_is_what_the_server_takes() -> None:
    whole = Message("t", "b", "T", {"a": 1}, "high", datetime(2030, 1, 1, tzinfo=UTC), key="k")
    item = BatchItem.model_validate_json(json.dumps(whole.item()), strict=True)
    assert (item.topic, item.body, item.title, item.data, item.priority) == ("t", "b", "T", {"a": 1}, "high")
    assert item.key == "k"
    assert Message("t").key != Message("t").key
    with pytest.raises(InvalidRequest, match="time zone"):
        Message("t", expires_at=datetime(2030, 1, 1)).fields()  # noqa: DTZ001 - that is what is wrong


@pytest.mark.parametrize(
    ("given_", "made"),
    [
        ("http://127.0.0.1:4000/", "http://127.0.0.1:4000"),
        ("HTTPS://Notifyx.Example.com:443", "https://notifyx.example.com"),
        ("https://example.com/notifyx/", "https://example.com/notifyx"),
        ("http://[::1]:4000", "http://[::1]:4000"),
    ],
)
def test_an_address_has_one_form(given_: str, made: str) -> None:
    assert base_url(given_) == made


@pytest.mark.parametrize(
    "text", ["", "localhost:4000", "ftp://x", "http://", "http://a:b@c", "http://x?y", "http://x:y"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        base_url(text)
    assert raised.value.code == "invalid_url"
    assert "b@" not in str(raised.value)
