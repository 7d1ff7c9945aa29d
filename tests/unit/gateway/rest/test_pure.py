"""Small pure parts: names, forms, credentials, history pages, settings, events of a stream."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from notifyx_common.contracts.store.log import History, NewNotification
from notifyx_common.errors import InvalidRequest, NotFound, Unauthenticated
from notifyx_common.principal import Principal
from notifyx_common.reading import parse_json, parse_model
from notifyx_common.settings import SettingsError, load
from notifyx_gateway.rest.history import is_final
from notifyx_gateway.rest.parameters import topic_name
from notifyx_gateway.rest.routes.accounts import client_credentials
from notifyx_gateway.rest.stream import FORMAT, EventStream, event
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.upstream.identity import bearer_token
from notifyx_topics.names import TopicName


class Named(BaseModel):
    name: TopicName


@given(st.text(st.characters(codec="ascii"), max_size=140) | st.from_regex(r"[a-z0-9._-]{0,130}", fullmatch=True))
def test_a_path_takes_exactly_the_names_a_topic_can_have(name: str) -> None:
    try:
        Named(name=name)
    except ValidationError:
        with pytest.raises(NotFound):
            topic_name(name if not name.startswith("user:") else "")
    else:
        assert topic_name(name) == name
        assert name.strip(".")


def test_ones_own_inbox_has_a_short_name() -> None:
    assert topic_name("user:me", inbox_of="7") == "user:7"
    assert topic_name("user:8") == "user:8"
    for wrong in ("user:", "user:a/b", "user:" + "x" * 129, "..", "", "a\n"):
        with pytest.raises(NotFound):
            topic_name(wrong)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_model(NewNotification, parse_json(raw)), NewNotification)


def test_json_types_are_not_taken_for_each_other() -> None:
    wrongs: list[dict[str, object]] = [
        {"title": 1},
        {"data": "x"},
        {"data": []},
        {"expires_at": 5},
        {"priority": None},
        {"title": None},
    ]
    for wrong in wrongs:
        with pytest.raises(InvalidRequest) as caught:
            parse_model(NewNotification, wrong)
        assert caught.value.fields[0].field == next(iter(wrong))
    nested: object = 1
    for _ in range(300):
        nested = [nested]
    with pytest.raises(InvalidRequest, match="nested"):
        parse_model(NewNotification, {"data": {"a": nested}})
    with pytest.raises(InvalidRequest):
        parse_json(b'{"a":NaN}')


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic x", "Bearer a b", "Bearer ä", "Token x"])
def test_what_is_not_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token(header)


def test_a_bearer_token_is_found_whatever_the_case() -> None:
    assert [bearer_token(f"{word} abc") for word in ("Bearer", "bearer", "BEARER")] == ["abc"] * 3


def test_client_credentials_come_in_the_form_or_as_basic_not_both() -> None:
    basic = "Basic " + base64.b64encode(b"an%20id:se:cret").decode()
    assert client_credentials({"grant_type": "x"}, basic) == {
        "grant_type": "x", "client_id": "an id", "client_secret": "se:cret",
    }  # fmt: skip
    assert client_credentials({"client_id": "a"}, None) == {"client_id": "a"}
    for fields, header in (({"client_id": "a"}, basic), ({}, "Basic !"), ({}, "Basic YQ=="), ({}, "Basic /w==")):
        with pytest.raises(InvalidRequest):
            client_credentials(fields, header)


def page(*seqs: int, expires: str | None = None) -> History:
    items = [{"seq": seq, "expires_at": expires} for seq in seqs]
    return History(items=items, first_seq=1, last_seq=100, next=None)


def test_only_full_pages_without_holes_or_expiry_are_final() -> None:
    assert is_final(page(3, 4, 5), 2, 3)
    assert not is_final(page(3, 4), 2, 3)
    assert not is_final(page(3, 5, 6), 2, 3)
    assert not is_final(page(4, 5, 6), 2, 3)
    assert not is_final(page(3, 4, 5, expires="2030-01-01T00:00:00Z"), 2, 3)


def test_urls_and_origins_follow_from_the_settings() -> None:
    settings = load(
        GatewaySettings,
        internal_token="x" * 16,
        public_url="https://Notifyx.example.com/",
        allowed_origins=["http://a:1"],
    )
    assert settings.base_url == "https://Notifyx.example.com"
    assert settings.origins == {"https://notifyx.example.com", "http://a:1"}
    assert settings.base_socket_url == "wss://notifyx.example.com:4001/socket"
    plain = load(GatewaySettings, internal_token="x" * 16, host="::1")
    assert (plain.base_url, plain.base_socket_url) == ("http://[::1]:4000", "ws://[::1]:4001/socket")


@pytest.mark.parametrize(
    "wrong",
    [{"public_url": "x"}, {"public_url": "ftp://x"}, {"public_url": "http://u:p@x"}, {"allowed_origins": ["http://a/b"]},
     {"trusted_proxies": ["10.0.0.0/99"]}, {"max_pending": 1}, {"socket_url": "http://x"}],
)  # fmt: skip
def test_a_wrong_setting_names_itself(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"NOTIFYX_{next(iter(wrong)).upper()}"):
        load(GatewaySettings, internal_token="x" * 16, **wrong)


def test_rows_are_events_with_their_seq_as_id() -> None:
    payload, size = FORMAT.encode([(1, b'{"a":1}'), (2, b'{"b":"\\n"}')])
    assert payload == b'id: 1\ndata: {"a":1}\n\nid: 2\ndata: {"b":"\\n"}\n\n'
    assert size == len(payload)
    assert event("joined", {"x": "\n"}) == b'event: joined\ndata: {"x":"\\n"}\n\n'


@given(st.lists(st.integers(1, 60), max_size=60), st.lists(st.booleans(), max_size=60))
async def test_a_stream_gives_everything_in_order_until_it_is_too_slow(sizes: list[int], reads: list[bool]) -> None:
    stream = EventStream(Principal(id="a"), "t", max_pending=200)
    sent, taken, pending = b"", b"", 0
    for number, size in enumerate(sizes):
        payload = bytes([number]) * size
        was_room = stream.room()
        stream.send(payload, size)
        if size > was_room:
            assert stream.closed
            break
        sent += payload
        pending += size
        assert stream.room() == 200 - pending
        if number < len(reads) and reads[number]:
            got = await stream.take(0.01)
            assert got is not None
            stream.written(got)
            taken += got
            pending = 0
    while stream.closed and (got := await stream.take(0.01)) is not None:
        taken += got
    if stream.closed:
        assert taken.startswith(sent)
        assert b"too_many_requests" in taken[len(sent) :]
    else:
        assert sent.startswith(taken)
