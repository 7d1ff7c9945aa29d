"""Converts CloudEvents 1.0 over HTTP, in both HTTP modes, to notifications. Pure.

The notification's ``data`` is the whole event in its JSON format. Its title is the event data's own ``title``, else
the subject, else the type; its body is the data's own ``body`` (or ``message``), else data that is text.
``expirytime`` (an official extension) becomes ``expires_at``. Source and id together are unique, so they become the
idempotency key if the publisher gives none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from notifyx_common.errors import InvalidRequest, UnsupportedMediaType
from notifyx_common.reading import parse_json
from notifyx_gateway.errors import InvalidEvent

STRUCTURED: Final = "application/cloudevents+json"
PREFIX: Final = "ce-"

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}\Z")
_REQUIRED = ("id", "source", "specversion", "type")
_TEXTS = (*_REQUIRED, "subject", "time", "datacontenttype", "dataschema")
_JSON_TYPE = re.compile(r"[\w.+-]+/(?:json|[\w.-]+\+json)\Z")
_TITLE = 200

Event = dict[str, Any]
"""An event in its JSON format."""


def is_binary(headers: Mapping[str, str]) -> bool:
    """Return whether the request is a CloudEvent in binary mode."""
    return any(name.lower() == "ce-specversion" for name in headers)


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


def from_binary(headers: Mapping[str, str], content_type: str, body: bytes) -> Event:
    """Return the event of a binary-mode request. Raises :class:`InvalidEvent`."""
    event: Event = {}
    for name, value in headers.items():
        if name.lower().startswith(PREFIX):
            event[name.lower().removeprefix(PREFIX)] = _decode_header(name, value)
    if content_type:
        event["datacontenttype"] = content_type
    _check(event)
    if "data" in event or "data_base64" in event:
        raise InvalidEvent("In binary mode the body is the data; there is no header for it.")
    if body:
        event.update(_data(event.get("datacontenttype", "application/json"), body))
    return event


def to_notification(event: Event) -> dict[str, Any]:
    """Return the fields of the notification for ``event``."""
    data = event.get("data")
    inner = data if isinstance(data, dict) else {}
    title = _text(inner.get("title")) or event.get("subject") or event["type"]
    body = _text(inner.get("body")) or _text(inner.get("message")) or _text(data)
    fields: dict[str, Any] = {"title": title[:_TITLE], "body": body, "data": event}
    if inner.get("priority") in ("low", "normal", "high", "urgent"):
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
        if name not in ("data", "data_base64") and isinstance(value, dict | list | float):
            raise InvalidEvent(f"The CloudEvents attribute '{name}' is neither text, integer nor boolean.")
    for name in _TEXTS:
        if name in event and (not isinstance(event[name], str) or not event[name]):
            raise InvalidEvent(f"The CloudEvents attribute '{name}' has to be text that is not empty.")
    missing = [name for name in _REQUIRED if name not in event]
    if missing:
        raise InvalidEvent(f"The CloudEvent lacks {', '.join(missing)}.")
    if event["specversion"] != "1.0":
        raise InvalidEvent("Only CloudEvents with specversion 1.0 are understood.")


def _data(content_type: str, body: bytes) -> Event:
    kind = content_type.partition(";")[0].strip().lower()
    if _JSON_TYPE.match(kind):
        try:
            return {"data": parse_json(body)}
        except InvalidRequest as error:
            raise InvalidEvent(f"The event's data is not the JSON its content type says: {error.reason}") from None
    if kind.startswith("text/") or kind in ("application/xml", "application/x-www-form-urlencoded"):
        try:
            return {"data": body.decode()}
        except UnicodeDecodeError:
            raise UnsupportedMediaType("Text is read in UTF-8.") from None
    return {"data_base64": base64.b64encode(body).decode()}


def _decode_header(name: str, value: str) -> str:
    # The HTTP binding percent-encodes characters that a header cannot hold; older senders use quotes.
    text = value.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise InvalidEvent(f"The header '{name[:80]}' is not percent-encoded UTF-8.") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
