"""Converts CloudEvents 1.0 over HTTP, in the structured, the binary and the batch mode, to notifications. Pure.

The notification's ``data`` is the whole event in its JSON format. Its title is the event data's own ``title``, else
the subject, else the type; its body is the data's own ``body`` (or ``message``), else data that is text.
``expirytime`` (an official extension) becomes ``expires_at``. Source and id together are the identity of an event, so
they become the idempotency key if the publisher gives none: a redelivery may have other attributes, such as a trace.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

import orjson

from notifyx_common.contracts.store.names import PRIORITY_ORDER
from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import parse_json
from notifyx_gateway.errors import InvalidEvent

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
MAX_BATCH: Final = 1000
PREFIX: Final = "ce-"

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}\Z")
_REQUIRED = ("id", "source", "specversion", "type")
_TEXTS = (*_REQUIRED, "subject", "time", "datacontenttype", "dataschema")
_REFERENCES = ("source", "dataschema")
_JSON_TYPE = re.compile(r"[\w.+-]+/(?:json|[\w.-]+\+json)\Z")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
"""RFC 3339. Fractions of any length and a leap second are valid there, but not in Python."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = rf'{_WORD}=(?:{_WORD}|"(?:[^"\\]|\\.)*")'
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}(?:[ \t]*;(?:[ \t]*{_PARAMETER})?)*[ \t]*\Z")
"""RFC 9110, where a parameter may be empty. No space can be matched in two ways, so that no text takes long."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
"""What no text of an attribute holds (CloudEvents 1.0, type system)."""

_PCHAR = r"[A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2}|[^\x00-\x7f\s]"
_REFERENCE = re.compile(rf"(?:{_PCHAR})*(?:#(?:{_PCHAR})*)?\Z")
"""A URI-reference by its characters (RFC 3986). Those beyond ASCII stand for themselves, as in an IRI (RFC 3987)."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")
"""How a URI begins that is no relative reference."""

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_TITLE = 200

Event = dict[str, Any]
"""An event in its JSON format."""


def is_binary(headers: Mapping[str, str]) -> bool:
    """Return whether the request is a CloudEvent in binary mode. ``headers`` has names in lower case.

    Any attribute that every event has makes it one: without the others it is refused, and not taken for a text.
    """
    return any(PREFIX + name in headers for name in _REQUIRED)


def from_structured(data: Any) -> Event:
    """Return the event of a decoded structured-mode body. Raises :class:`InvalidEvent`."""
    if not isinstance(data, dict):
        raise InvalidEvent("A CloudEvent is a JSON object.")
    event = {name: value for name, value in data.items() if value is not None}
    _check(event)
    if "data" in event and "data_base64" in event:
        raise InvalidEvent("A CloudEvent has either 'data' or 'data_base64'.")
    if "data_base64" in event:
        try:
            base64.b64decode(event["data_base64"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise InvalidEvent("'data_base64' is not base64.") from None
    return event


def from_batch(data: Any) -> list[Event | InvalidEvent]:
    """Return the event of each element of a decoded batch, or why it is none. Raises :class:`InvalidEvent`."""
    if not isinstance(data, list):
        raise InvalidEvent("A batch of CloudEvents is a JSON array.")
    if len(data) > MAX_BATCH:
        raise InvalidEvent(f"A batch holds up to {MAX_BATCH} CloudEvents; send the others in another one.")
    events: list[Event | InvalidEvent] = []
    for element in data:
        try:
            events.append(from_structured(element))
        except InvalidEvent as error:
            events.append(error)
    return events


def from_binary(headers: Mapping[str, str], content_type: str, body: bytes) -> Event:
    """Return the event of a binary-mode request. ``headers`` has names in lower case. Raises :class:`InvalidEvent`."""
    event: Event = {}
    for name, value in headers.items():
        if name.startswith(PREFIX):
            event[name.removeprefix(PREFIX)] = _decode_header(name.removeprefix(PREFIX), value)
    if content_type:
        event["datacontenttype"] = content_type
    _check(event)
    if "data" in event or "data_base64" in event:
        raise InvalidEvent("In binary mode the body is the data; there is no header for it.")
    if body:
        event.update(_data(event.get("datacontenttype", "application/json"), body))
    return event


def to_notification(event: Event, max_body: int) -> dict[str, Any]:
    """Return the fields of the notification for ``event``. A longer body is cut: all of it is in the data."""
    data = event.get("data")
    inner = data if isinstance(data, dict) else {}
    title = _text(inner.get("title")) or event.get("subject") or event["type"]
    body = _text(inner.get("body")) or _text(inner.get("message")) or _text(data)
    if len(body) > max_body:
        body = body[: max_body - 1] + "…"
    fields: dict[str, Any] = {"title": title[:_TITLE], "body": body, "data": event}
    if inner.get("priority") in PRIORITY_ORDER:
        fields["priority"] = inner["priority"]
    if "expirytime" in event:
        fields["expires_at"] = event["expirytime"]
    return fields


def idempotency_key(event: Event) -> str:
    """Return a key that is equal for every delivery of one event; its source and id may hold any characters."""
    identity = orjson.dumps([event["source"], event["id"]])
    return "ce-" + hashlib.sha256(identity).hexdigest()


def _check(event: Event) -> None:
    for name, value in event.items():
        if name != "data_base64" and not _ATTRIBUTE.match(name):
            raise InvalidEvent("The names of CloudEvents attributes are lower-case letters and digits.")
        if name in ("data", "data_base64"):
            continue
        if isinstance(value, dict | list | float):
            raise InvalidEvent(f"The CloudEvents attribute '{name}' is neither text, integer nor boolean.")
        if isinstance(value, str) and _CONTROL.search(value):
            raise InvalidEvent(f"The CloudEvents attribute '{name}' has a control character, such as a line break.")
    for name in _TEXTS:
        if name in event and (not isinstance(event[name], str) or not event[name]):
            raise InvalidEvent(f"The CloudEvents attribute '{name}' has to be text that is not empty.")
    if "time" in event and not _is_time(event["time"]):
        raise InvalidEvent("The CloudEvents attribute 'time' is no time like 2030-01-31T12:00:00Z (RFC 3339).")
    if "datacontenttype" in event and not _MEDIA_TYPE.match(event["datacontenttype"]):
        raise InvalidEvent("The CloudEvents attribute 'datacontenttype' is no media type (RFC 2046).")
    _check_references(event)
    missing = [name for name in _REQUIRED if name not in event]
    if missing:
        raise InvalidEvent(f"The CloudEvent lacks {', '.join(missing)}.")
    if event["specversion"] != "1.0":
        raise InvalidEvent("Only CloudEvents with specversion 1.0 are understood.")


def _check_references(event: Event) -> None:
    if "source" in event and not _is_reference(event["source"]):
        raise InvalidEvent("The CloudEvents attribute 'source' is no URI-reference (RFC 3986): encode spaces as %20.")
    if "dataschema" in event and not (_SCHEME.match(event["dataschema"]) and _is_reference(event["dataschema"])):
        raise InvalidEvent("The CloudEvents attribute 'dataschema' is no URI like https://example.com/s (RFC 3986).")


def _is_reference(text: str) -> bool:
    try:
        urlsplit(text)  # which reads the brackets of an IPv6 address
    except ValueError:
        return False
    return _REFERENCE.match(text) is not None


def _is_time(text: str) -> bool:
    found = _TIME.match(text)
    if found is None:
        return False
    date, minute, second, offset = found.groups()
    try:
        datetime.fromisoformat(f"{date}T{minute}:{'59' if second == '60' else second}{offset.upper()}")
    except ValueError:
        return False
    return True


def _data(content_type: str, body: bytes) -> Event:
    """Return the data as JSON or text where it is that in UTF-8, and as bytes in any other case."""
    kind = content_type.partition(";")[0].strip().lower()
    charset = _CHARSET.search(content_type)
    if charset is None or charset[1].lower() in ("utf-8", "utf8", "us-ascii"):
        if _JSON_TYPE.match(kind):
            try:
                return {"data": parse_json(body)}
            except InvalidRequest as error:
                raise InvalidEvent(f"The event's data is not the JSON its content type says: {error.reason}") from None
        if kind.startswith("text/") or kind in ("application/xml", "application/x-www-form-urlencoded"):
            try:
                return {"data": body.decode()}
            except UnicodeDecodeError:
                pass  # of another charset that the sender did not name
    return {"data_base64": base64.b64encode(body).decode()}


def _decode_header(name: str, value: str) -> str:
    # The HTTP binding percent-encodes characters that a header cannot hold. Senders that do not (a percent sign alone,
    # raw UTF-8 or Latin-1) mean the value as it is.
    text = value.strip(" \t")  # any other space may be a byte of a character
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        return text
    for octets in (unquote_to_bytes(raw), raw):
        try:
            decoded = octets.decode()
        except UnicodeDecodeError:
            continue
        # Of a sender that does not encode, `/a%20b` is the reference itself; decoded it would be none.
        return text if name in _REFERENCES and _is_reference(text) and not _is_reference(decoded) else decoded
    return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
