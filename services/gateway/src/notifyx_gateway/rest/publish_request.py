"""Parses publish requests in all their forms: JSON, plain text, and CloudEvents. Pure.

Headers and body become a notification and its idempotency key.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.store.log import KeyedNotification, NewNotification
from notifyx_common.contracts.store.names import IdempotencyKey
from notifyx_common.errors import InvalidRequest, UnsupportedMediaType
from notifyx_common.reading import parse_json, parse_model
from notifyx_gateway.rest import cloudevents
from notifyx_gateway.rest.parameters import invalid_parameter

TEXT_TYPES = ("", "text/plain", "application/x-www-form-urlencoded")
"""Content types of bodies that are the text itself; ``curl -d`` sends the last one."""

_KEY: TypeAdapter[str] = TypeAdapter(IdempotencyKey)


def read_publish_request(headers: Mapping[str, str], content_type: str, body: bytes) -> KeyedNotification:
    """Return the notification of a publish request; ``content_type`` includes its parameters.

    Raises :class:`InvalidRequest` and :class:`UnsupportedMediaType`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    key = checked_key(next((value for name, value in headers.items() if name.lower() == "idempotency-key"), None))
    if kind == cloudevents.STRUCTURED:
        return _from_cloud_event(cloudevents.from_structured(parse_json(body)), key)
    if kind.startswith("application/cloudevents"):
        raise UnsupportedMediaType("Of CloudEvents, application/cloudevents+json and binary mode are read.")
    if cloudevents.is_binary(headers):
        return _from_cloud_event(cloudevents.from_binary(headers, content_type, body), key)
    if kind == "application/json":
        return KeyedNotification.of(parse_model(NewNotification, parse_json(body)), key)
    if kind in TEXT_TYPES:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("The text is not in UTF-8.", code="malformed_text") from None
        return KeyedNotification.of(parse_model(NewNotification, {"body": text}), key)
    raise UnsupportedMediaType("Send application/json, text/plain, or a CloudEvent.")


def checked_key(key: str | None) -> str | None:
    """Validate an idempotency key. Raises :class:`InvalidRequest`."""
    if key is None:
        return None
    try:
        return _KEY.validate_python(key)
    except ValidationError:
        raise invalid_parameter("Idempotency-Key", "This is 1 to 255 visible ASCII characters.") from None


def _from_cloud_event(event: cloudevents.Event, key: str | None) -> KeyedNotification:
    notification = parse_model(NewNotification, cloudevents.to_notification(event))
    return KeyedNotification.of(notification, key or cloudevents.idempotency_key(event))
