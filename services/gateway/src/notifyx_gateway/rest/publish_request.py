"""Parses publish requests in all their forms: JSON, plain text, CloudEvents, and webhooks that are recognised. Pure.

Headers and body become the notifications to publish, each with its idempotency key.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.store.log import KeyedNotification, NewNotification, plain_notification
from notifyx_common.contracts.store.names import IdempotencyKey
from notifyx_common.errors import InvalidRequest, UnsupportedMediaType
from notifyx_common.reading import parse_json, parse_model
from notifyx_gateway.errors import InvalidEvent
from notifyx_gateway.rest import cloudevents
from notifyx_gateway.rest.hooks.forms import FORM, Form, is_form, not_understood, read_form
from notifyx_gateway.rest.hooks.kinds import Kind, recognised
from notifyx_gateway.rest.hooks.multipart import MULTIPART, read_multipart
from notifyx_gateway.rest.hooks.publication import Delivery, Part
from notifyx_gateway.rest.hooks.sent_json import is_json, read_sent_json
from notifyx_gateway.sizes import DEFAULT_SIZES, Sizes

TEXT_TYPES = ("", "text/plain", FORM)
"""Content types of bodies that are the text itself; ``curl -d`` sends the last one."""

_KEY: TypeAdapter[str] = TypeAdapter(IdempotencyKey)


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """What a request publishes: notifications, and errors in the place of parts that are none.

    ``form`` decides on the answer. ``by_key``: the keys were made from what names the event, so that another
    content under a key that was used is a replay of the event, and no conflict.
    """

    parts: Sequence[Part]
    form: Literal["notification", "events", "webhook"]
    by_key: bool = False


def read_publish_request(
    headers: Mapping[str, str], content_type: str, body: bytes, sizes: Sizes = DEFAULT_SIZES
) -> PublishRequest:
    """Return what a request publishes. ``headers`` has names in lower case; ``content_type`` includes its parameters.

    Raises :class:`InvalidRequest` and :class:`UnsupportedMediaType`.
    """
    kind = media_type(content_type)
    key = checked_key(headers.get("idempotency-key"))
    if kind == cloudevents.STRUCTURED:
        return _of_event(cloudevents.from_structured(parse_json(body)), key, sizes)
    if kind == cloudevents.BATCH:
        if key is not None:
            raise InvalidRequest("In a batch each event has its own identity; Idempotency-Key is for one publish.")
        return _of_batch(cloudevents.from_batch(parse_json(body)), sizes)
    if kind.startswith("application/cloudevents"):
        raise UnsupportedMediaType("CloudEvents are read in JSON: structured, as a batch, and in binary mode.")
    if cloudevents.is_binary(headers):
        return _of_event(cloudevents.from_binary(headers, content_type, body), key, sizes)
    if kind == "application/json":
        return _of_json(parse_json(body), key, sizes)
    if kind in (FORM, MULTIPART) and (found := _from_form(content_type, body, key, sizes)) is not None:
        return found
    if kind in TEXT_TYPES:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("The text is not in UTF-8.", code="malformed_text") from None
        return _of_one({"body": text}, key, sizes)
    raise UnsupportedMediaType("Send application/json, text/plain, or a CloudEvent.")


def read_hook(kind: Kind, content_type: str, body: bytes, delivery: Delivery) -> list[Part]:
    """Return what a webhook of ``kind`` publishes. ``delivery`` is the request, still without its payload.

    Raises :class:`InvalidRequest` and :class:`UnsupportedMediaType`.
    """
    media = media_type(content_type)
    if media == MULTIPART:
        payload = _sent_in_form(kind, read_multipart(content_type, body))
    elif media == FORM and not is_json(body):  # `curl -d` calls JSON a form, too
        payload = _sent_in_form(kind, read_form(body))
    elif media in TEXT_TYPES or media == "application/json" or media.endswith("+json"):
        payload = read_sent_json(body)
    else:
        raise UnsupportedMediaType(
            f"Send a webhook of the kind {kind.name} as application/json, or as {FORM} or {MULTIPART} with {kind.form}."
        )
    digest = hashlib.sha256(body).hexdigest()
    return kind.read(dataclasses.replace(delivery, payload=payload, digest=digest))


def _sent_in_form(kind: Kind, form: Form) -> Any:
    if not (form.has_payload or kind.form_fields):
        raise InvalidRequest(
            f"This form is no webhook of the kind {kind.name}: {kind.form} is missing.", code="unknown_webhook"
        )
    return form.value()


def media_type(content_type: str) -> str:
    """Return a content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def checked_key(key: str | None) -> str | None:
    """Validate an idempotency key. Raises :class:`InvalidRequest`."""
    if key is None:
        return None
    try:
        return _KEY.validate_python(key)
    except ValidationError:
        raise InvalidRequest.of_field("Idempotency-Key", "This is 1 to 255 visible ASCII characters.") from None


def _of_json(value: Any, key: str | None, sizes: Sizes) -> PublishRequest:
    found = recognised(value)
    if found is None:
        return _of_one(value, key, sizes)
    parts = found.read(Delivery(value, sizes=sizes))
    if key is not None and len(parts) == 1 and isinstance(parts[0], KeyedNotification):
        return PublishRequest([KeyedNotification.of(parts[0], key)], "webhook")
    return PublishRequest(parts, "webhook", by_key=True)


def _from_form(content_type: str, body: bytes, key: str | None, sizes: Sizes) -> PublishRequest | None:
    """Return what a form publishes, or what ``curl -d`` only calls one; ``None`` for a text."""
    if media_type(content_type) == MULTIPART:
        return _of_form(read_multipart(content_type, body), key, sizes)
    if is_form(body):
        return _of_form(read_form(body), key, sizes)
    meant = _json_meant(body)
    return _of_json(meant, key, sizes) if meant is not None else None


def _json_meant(body: bytes) -> Any:
    """Return ``body`` if it is a notification or a webhook in JSON; ``None`` for a text like any other."""
    if not is_json(body):
        return None
    try:
        value = parse_json(body)
    except InvalidRequest:
        return None
    fields = isinstance(value, dict) and value and set(value) <= set(NewNotification.model_fields)
    return value if fields or recognised(value) is not None else None


def _of_form(form: Form, key: str | None, sizes: Sizes) -> PublishRequest:
    value = form.value()
    if isinstance(value, dict) and recognised(value) is None:
        if not form.has_payload and "message" in value and "body" not in value:
            value["body"] = value.pop("message")
        if not set(value) <= set(NewNotification.model_fields):
            raise not_understood()
    return _of_json(value, key, sizes)


def _of_one(value: Any, key: str | None, sizes: Sizes) -> PublishRequest:
    sizes.require_body(value)
    if isinstance(value, dict) and "key" not in value:
        plain = plain_notification(value if key is None else {**value, "key": key})
        if plain is not None:
            return PublishRequest([plain[0]], "notification")
    return PublishRequest([KeyedNotification.of(parse_model(NewNotification, value), key)], "notification")


def _of_event(event: cloudevents.Event, key: str | None, sizes: Sizes) -> PublishRequest:
    return PublishRequest([_notification(event, key, sizes)], "events", by_key=key is None)


def _of_batch(events: Sequence[cloudevents.Event | InvalidEvent], sizes: Sizes) -> PublishRequest:
    parts: list[Part] = []
    for event in events:
        try:
            parts.append(event if isinstance(event, InvalidEvent) else _notification(event, None, sizes))
        except InvalidRequest as error:
            parts.append(error)
    return PublishRequest(parts, "events", by_key=True)


def _notification(event: cloudevents.Event, key: str | None, sizes: Sizes) -> KeyedNotification:
    notification = parse_model(NewNotification, cloudevents.to_notification(event, sizes.body))
    return KeyedNotification.of(notification, key or cloudevents.idempotency_key(event))
