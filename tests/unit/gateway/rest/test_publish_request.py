"""What a publish request says: JSON, text and CloudEvents, whatever bytes come."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.errors import InvalidRequest, NotifyxError, UnsupportedMediaType
from notifyx_gateway.errors import InvalidEvent
from notifyx_gateway.rest import cloudevents
from notifyx_gateway.rest.hooks.forms import is_form
from notifyx_gateway.rest.publish_request import read_publish_request
from notifyx_gateway.sizes import DEFAULT_SIZES


def read_one(headers: dict[str, str], content_type: str, body: bytes) -> KeyedNotification:
    """The one notification of a request."""
    (part,) = read_publish_request(headers, content_type, body).parts
    assert isinstance(part, KeyedNotification)
    return part


EVENT: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "build.done"}
HEADERS = {f"ce-{name}": value for name, value in EVENT.items()}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["idempotency-key", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-x", "ce-"]),
        st.text(st.characters(max_codepoint=255), max_size=20) | st.just("1.0"),
    ),
    st.sampled_from(["", "application/json", "text/plain", "application/cloudevents+json",
                     "application/cloudevents-batch+json", "application/xml", "x",
                     "application/x-www-form-urlencoded", "application/octet-stream", "text/plain; charset=utf-8"]),
    st.binary(max_size=200) | json_values.map(orjson.dumps),
)  # fmt: skip
def test_any_request_is_a_publication_or_a_clear_refusal(headers: dict[str, str], kind: str, body: bytes) -> None:
    with contextlib.suppress(InvalidRequest, UnsupportedMediaType):
        for part in read_publish_request(headers, kind, body).parts:
            orjson.dumps(part.to_problem() if isinstance(part, NotifyxError) else part.model_dump(mode="json"))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=500))
def test_text_is_the_body_as_it_is_also_when_curl_calls_it_a_form(text: str) -> None:
    assume(not is_form(text.encode()))
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        publication = read_one({}, kind, text.encode())
        assert (publication.body, publication.key) == (text, None)


def percent_encoded(value: str) -> str:
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b'"%' else f"%{byte:02X}" for byte in value.encode()
    )


attribute = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


reference = st.text(st.sampled_from("aZ0-._~:/?@!$&'()*+,;=é你"), min_size=1, max_size=30)


@given(attribute, reference, attribute, json_values)
def test_both_modes_of_one_event_are_the_same_notification(event_id: str, source: str, subject: str, data: Any) -> None:
    event = {**EVENT, "id": event_id, "source": source, "subject": subject, "datacontenttype": "application/json"}
    headers = {f"ce-{name}": percent_encoded(value) for name, value in event.items() if name != "datacontenttype"}
    body = orjson.dumps(data)
    try:
        binary = read_one(headers, "application/json", body)
    except NotifyxError as error:
        with pytest.raises(type(error)):
            read_one({}, "application/cloudevents+json", orjson.dumps({**event, "data": data}))
        return
    structured = {**event, **({} if data is None else {"data": data})}
    other = read_one({}, "application/cloudevents+json", orjson.dumps(structured))
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
    shown = read_one({}, "application/cloudevents+json", orjson.dumps(event))
    assert (shown.title, shown.body, shown.data) == (title, body, event)


def test_an_explicit_key_and_an_expiry_are_taken_over() -> None:
    event = {**EVENT, "expirytime": "2030-01-01T00:00:00Z", "data": {"priority": "urgent"}}
    publication = read_one(
        {"idempotency-key": "mine"}, "application/cloudevents+json; charset=utf-8", orjson.dumps(event)
    )
    assert publication.key == "mine"
    assert publication.expires_at is not None
    assert publication.expires_at.year == 2030
    assert publication.priority == "urgent"


def test_binary_data_is_kept_as_base64_and_text_as_text() -> None:
    image = read_one(HEADERS, "image/png", b"\x89PNG")
    assert image.data is not None
    assert base64.b64decode(image.data["data_base64"]) == b"\x89PNG"
    text = read_one(HEADERS, "text/plain", "größer".encode())
    assert text.body == "größer"
    quoted = read_one({**HEADERS, "ce-subject": '"a \\"b\\""'}, "text/plain", b"x")
    assert quoted.title == 'a "b"'


@pytest.mark.parametrize(
    "event",
    [
        [], "x", 5, None, {}, {**EVENT, "specversion": "0.3"}, {**EVENT, "specversion": 1.0}, {**EVENT, "id": ""},
        {**EVENT, "id": 1}, {**EVENT, "source": None}, {**EVENT, "type": []}, {**EVENT, "Upper": "x"},
        {**EVENT, "extension": {"a": 1}}, {**EVENT, "subject": ""}, {**EVENT, "data": 1, "data_base64": "AA=="},
        {**EVENT, "time": "yesterday"}, {**EVENT, "time": "2026-11-28"}, {**EVENT, "time": "2026-11-28T25:00:00Z"},
        {**EVENT, "time": "2026-11-28T12:00:00"}, {**EVENT, "datacontenttype": "json"},
        {**EVENT, "datacontenttype": "text/plain; charset"}, {**EVENT, "datacontenttype": "a/b" + "; " * 20_000 + "x"},
        {**EVENT, "data_base64": "!"}, {**EVENT, "data_base64": 5}, {**EVENT, "": "x"},
        {**EVENT, "id": "a\nb"}, {**EVENT, "source": "\x00"}, {**EVENT, "extension": "\x85"},
        {**EVENT, "source": "a b"}, {**EVENT, "source": "/a\u00a0b"}, {**EVENT, "source": "/50%"},
        {**EVENT, "source": "//[::1/a"}, {**EVENT, "source": "/a#b#c"}, {**EVENT, "source": "<a>"},
        {**EVENT, "dataschema": "not a uri %%"}, {**EVENT, "dataschema": "/relative"}, {**EVENT, "dataschema": "urn:"},
    ],
)  # fmt: skip
def test_events_that_break_the_rules_are_refused(event: Any) -> None:
    with pytest.raises(InvalidEvent):
        read_one({}, "application/cloudevents+json", orjson.dumps(event))


@pytest.mark.parametrize("lacking", ["specversion", "id", "source", "type"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "image/png"])
def test_an_event_whose_headers_lack_one_that_every_event_has_is_no_plain_publish(lacking: str, kind: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != f"ce-{lacking}"}
    with pytest.raises(InvalidEvent, match=f"lacks {lacking}"):
        read_one(headers, kind, b'{"title": "Built"}')
    assert read_one({"ce-foreign": "1"}, "text/plain", b"text").body == "text"


@pytest.mark.parametrize(
    "source",
    ["/ci", "ci", "urn:uuid:1", "https://u@[::1]:80/a%20b?c=d#e", "mailto:a@b.example", "?q", "#f", "/größe/你"],
)
def test_every_reference_is_a_source_in_both_modes(source: str) -> None:
    event = {**EVENT, "source": source, "dataschema": f"https://e.example/{source.partition('#')[0]}#/definitions/x"}
    told = read_one({}, "application/cloudevents+json", orjson.dumps(event))
    assert (told.data or {})["source"] == source
    encoded = read_one({**HEADERS, "ce-source": percent_encoded(source)}, "text/plain", b"x")
    as_it_is = read_one({**HEADERS, "ce-source": source.encode().decode("latin-1")}, "text/plain", b"x")
    assert (encoded.data or {})["source"] == (as_it_is.data or {})["source"] == source


@pytest.mark.parametrize(
    "time", ["2026-11-28T23:59:60Z", "2026-11-28t12:00:00.123456789z", "2026-11-28T12:00:00-11:30"]
)
def test_every_time_of_rfc_3339_is_a_time_of_an_event(time: str) -> None:
    assert read_one({}, "application/cloudevents+json", orjson.dumps({**EVENT, "time": time})).title == "build.done"


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("50%25 done", "50% done"),
        ("50%ff done", "50%ff done"),  # the Go SDK does not encode a percent sign
        ("100%", "100%"),
        ("\u00fcn\u00ef", "ünï"),  # Latin-1, as the SDKs for Python and JavaScript send it
        ("\u00c3\u00bcn\u00c3\u00af", "ünï"),  # UTF-8
        ("%C3%BCn%C3%AF", "ünï"),
    ],
)
def test_a_header_that_is_not_percent_encoded_is_meant_as_it_is(raw: str, meant: str) -> None:
    event = read_one({**HEADERS, "ce-subject": raw}, "text/plain", b"x")
    assert (event.title, (event.data or {})["subject"]) == (meant, meant)


@pytest.mark.parametrize("kind", ["text/plain; charset=iso-8859-1", 'application/json; charset="utf-16"', "text/plain"])
def test_data_in_another_charset_are_kept_as_bytes(kind: str) -> None:
    event = read_one(HEADERS, kind, "größer".encode("latin-1"))
    assert event.data is not None
    assert base64.b64decode(event.data["data_base64"]) == "größer".encode("latin-1")
    assert event.data["datacontenttype"] == kind


def test_a_number_that_cannot_be_kept_is_refused_with_a_sentence() -> None:
    with pytest.raises(InvalidRequest, match="64 bits"):
        read_one(HEADERS, "application/json", b'{"order":123456789012345678901234567890}')


def test_an_event_of_64_kilobytes_is_kept_whole_and_its_text_is_cut_where_it_has_to_be() -> None:
    octets = bytes(range(256)) * 256
    event = read_one(HEADERS, "application/octet-stream", octets)
    assert event.data is not None
    assert base64.b64decode(event.data["data_base64"]) == octets
    assert len(orjson.dumps(event.data)) <= DEFAULT_SIZES.data
    text = read_one(HEADERS, "text/plain", b"x" * (DEFAULT_SIZES.body + 1))
    assert (len(text.body), text.body[-1], len((text.data or {})["data"])) == (65_536, "…", 65_537)


def test_one_bad_event_of_a_batch_does_not_stop_the_rest() -> None:
    batch = [
        EVENT,
        {**EVENT, "id": "2", "time": "x"},
        "no event",
        {**EVENT, "id": "3"},
        {**EVENT, "id": "4", "data": 2**70},
    ]
    wanted = read_publish_request({}, "application/cloudevents-batch+json", json.dumps(batch).encode())
    assert [getattr(part, "code", "taken") for part in wanted.parts] == [
        "taken", "invalid_cloudevent", "invalid_cloudevent", "taken", "validation_failed",
    ]  # fmt: skip
    assert (wanted.form, wanted.by_key) == ("events", True)
    for body in (b"{}", b"[", orjson.dumps([EVENT] * 1001)):
        with pytest.raises(InvalidRequest):
            read_publish_request({}, "application/cloudevents-batch+json", body)


@pytest.mark.parametrize(
    ("body", "title", "text", "priority"),
    [
        ("title=Hi there&priority=high", "Hi there", "", "high"),
        ("priority=high&body=größer is+better", "", "größer is better", "high"),
        ("title=T&body=hello+w%6Frld", "T", "hello world", "normal"),
        ("message=hello there", "", "hello there", "normal"),
        ("title=100% sure&body=a\nb&", "100% sure", "a\nb", "normal"),
        ("title=T&message=1=1, yes!", "T", "1=1, yes!", "normal"),
    ],
)
def test_a_form_is_read_though_its_spaces_are_not_encoded(body: str, title: str, text: str, priority: str) -> None:
    told = read_one({}, "application/x-www-form-urlencoded", body.encode())
    assert (told.title, told.body, told.priority) == (title, text, priority)


@pytest.mark.parametrize("body", [b"body=a & b", b"message=a&b&title=c", b"title=%ff", b"title=\xff"])
def test_a_form_that_is_not_encoded_is_refused_and_never_what_people_read(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_one({}, "application/x-www-form-urlencoded", body)
    assert refused.value.code == "malformed_form"


def test_forms_are_read_and_are_never_what_people_read() -> None:
    form = "application/x-www-form-urlencoded"
    webhook = "payload=%7B%22title%22%3A%22Built%22%7D"
    assert read_one({}, form, webhook.encode()).title == "Built"
    fields = read_one({}, form, b"version=1.0&title=Backup&message=It+has+ended.&type=failure")
    assert (fields.title, fields.body, fields.priority) == ("Backup", "It has ended.", "high")
    assert read_one({}, form, b"load=5").body == "load=5"
    # JSON in which curl was not told that it is JSON.
    curled = read_one({}, form, b'{"title": "Built", "priority": "high"}')
    assert (curled.title, curled.body, curled.priority) == ("Built", "", "high")
    alert = {"status": "firing", "labels": {"alertname": "Full"}, "fingerprint": "f"}
    alerts = {"version": "4", "groupKey": "g", "receiver": "r", "status": "firing", "alerts": [alert]}
    assert read_publish_request({}, form, json.dumps(alerts).encode()).form == "webhook"
    for text in (b'{"ref": "main"}', b"{}", b"[1]", b'{"title": "x"', b"{braces}", b'{"title": "x", "more": 1}'):
        assert read_one({}, form, text).body == text.decode()
    assert read_one({}, "text/plain", b'{"title": "x"}').body == '{"title": "x"}'
    for unknown in (
        b"user%5Bname%5D=ada",
        b"message=a&body=b",
        b"title=a&more=b",
        b"payload=%7B%22ref%22%3A%22main%22%7D",
    ):
        with pytest.raises(UnsupportedMediaType, match="a form whose 'payload' is a notification in JSON or a webhook"):
            read_one({}, form, unknown)
