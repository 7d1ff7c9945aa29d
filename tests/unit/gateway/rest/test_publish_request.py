"""What a publish request says: JSON, text and CloudEvents, whatever bytes come."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.errors import InvalidRequest, NotifyxError, UnsupportedMediaType
from notifyx_gateway.errors import InvalidEvent
from notifyx_gateway.rest import cloudevents
from notifyx_gateway.rest.publish_request import read_publish_request

EVENT: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "build.done"}
HEADERS = {f"ce-{name}": value for name, value in EVENT.items()}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["idempotency-key", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-X", "ce-"]),
        st.text(st.characters(max_codepoint=255), max_size=20) | st.just("1.0"),
    ),
    st.sampled_from(["", "application/json", "text/plain", "application/cloudevents+json", "application/xml", "x",
                     "application/x-www-form-urlencoded", "application/octet-stream", "text/plain; charset=utf-8"]),
    st.binary(max_size=200) | json_values.map(orjson.dumps),
)  # fmt: skip
def test_any_request_is_a_publication_or_a_clear_refusal(headers: dict[str, str], kind: str, body: bytes) -> None:
    with contextlib.suppress(InvalidRequest, UnsupportedMediaType):
        publication = read_publish_request(headers, kind, body)
        orjson.dumps(publication.model_dump(mode="json"))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=500))
def test_text_is_the_body_as_it_is_also_when_curl_calls_it_a_form(text: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        publication = read_publish_request({}, kind, text.encode())
        assert (publication.body, publication.key) == (text, None)


def percent_encoded(value: str) -> str:
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b'"%' else f"%{byte:02X}" for byte in value.encode()
    )


attribute = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(attribute, attribute, attribute, json_values)
def test_both_modes_of_one_event_are_the_same_notification(event_id: str, source: str, subject: str, data: Any) -> None:
    event = {**EVENT, "id": event_id, "source": source, "subject": subject, "datacontenttype": "application/json"}
    headers = {f"Ce-{name}": percent_encoded(value) for name, value in event.items() if name != "datacontenttype"}
    body = orjson.dumps(data)
    try:
        binary = read_publish_request(headers, "application/json", body)
    except NotifyxError as error:
        with pytest.raises(type(error)):
            read_publish_request({}, "application/cloudevents+json", orjson.dumps({**event, "data": data}))
        return
    structured = {**event, **({} if data is None else {"data": data})}
    other = read_publish_request({}, "application/cloudevents+json", orjson.dumps(structured))
    assert binary.key == other.key
    if data is not None:
        assert binary == other


@given(attribute, attribute, attribute, attribute)
def test_only_the_same_source_and_id_share_a_key(id_a: str, source_a: str, id_b: str, source_b: str) -> None:
    a = cloudevents.idempotency_key({"id": id_a, "source": source_a})
    b = cloudevents.idempotency_key({"id": id_b, "source": source_b})
    assert (a == b) == ((id_a, source_a) == (id_b, source_b))


@pytest.mark.parametrize(
    ("event", "title", "body"),
    [
        (EVENT, "build.done", ""),
        ({**EVENT, "subject": "api"}, "api", ""),
        ({**EVENT, "subject": "api", "data": {"title": "Built", "body": "in 3 s"}}, "Built", "in 3 s"),
        ({**EVENT, "data": {"title": 5, "message": "hm"}}, "build.done", "hm"),
        ({**EVENT, "data": "plain"}, "build.done", "plain"),
        ({**EVENT, "subject": "s" * 300}, "s" * 200, ""),
    ],
)
def test_what_people_read_is_taken_from_the_event(event: dict[str, Any], title: str, body: str) -> None:
    shown = read_publish_request({}, "application/cloudevents+json", orjson.dumps(event))
    assert (shown.title, shown.body, shown.data) == (title, body, event)


def test_an_explicit_key_and_an_expiry_are_taken_over() -> None:
    event = {**EVENT, "expirytime": "2030-01-01T00:00:00Z", "data": {"priority": "urgent"}}
    publication = read_publish_request(
        {"Idempotency-Key": "mine"}, "application/cloudevents+json; charset=utf-8", orjson.dumps(event)
    )
    assert publication.key == "mine"
    assert publication.expires_at is not None
    assert publication.expires_at.year == 2030
    assert publication.priority == "urgent"


def test_binary_data_is_kept_as_base64_and_text_as_text() -> None:
    image = read_publish_request(HEADERS, "image/png", b"\x89PNG")
    assert image.data is not None
    assert base64.b64decode(image.data["data_base64"]) == b"\x89PNG"
    text = read_publish_request(HEADERS, "text/plain", "größer".encode())
    assert text.body == "größer"
    quoted = read_publish_request({**HEADERS, "ce-subject": '"a \\"b\\""'}, "text/plain", b"x")
    assert quoted.title == 'a "b"'


@pytest.mark.parametrize(
    "event",
    [
        [], "x", 5, None, {}, {**EVENT, "specversion": "0.3"}, {**EVENT, "specversion": 1.0}, {**EVENT, "id": ""},
        {**EVENT, "id": 1}, {**EVENT, "source": None}, {**EVENT, "type": []}, {**EVENT, "Upper": "x"},
        {**EVENT, "extension": {"a": 1}}, {**EVENT, "subject": ""}, {**EVENT, "data": 1, "data_base64": "AA=="},
        {**EVENT, "data_base64": "!"}, {**EVENT, "data_base64": 5}, {**EVENT, "": "x"},
    ],
)  # fmt: skip
def test_events_that_break_the_rules_are_refused(event: Any) -> None:
    with pytest.raises(InvalidEvent):
        read_publish_request({}, "application/cloudevents+json", orjson.dumps(event))
