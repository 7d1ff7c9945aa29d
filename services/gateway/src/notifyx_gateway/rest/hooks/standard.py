"""Standard Webhooks (standardwebhooks.com): a type, a time and data, with an id in a header. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from notifyx_common.contracts.store.names import Priority
from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.publication import Delivery, Part, mapping, text
from notifyx_topics.visible import is_visible

_PRIORITIES: Mapping[str, Priority] = {"low": "low", "normal": "normal", "high": "high", "urgent": "urgent"}


def read(delivery: Delivery) -> list[Part]:
    """Return the one notification of the event; its id is the key."""
    payload = delivery.payload
    if not isinstance(payload, dict) or not payload:
        raise InvalidRequest("A webhook is a JSON object that is not empty.", code="unknown_webhook")
    data = mapping(payload.get("data"))
    found = (text(data.get("title")), text(payload.get("type")))
    title = next((words for words in found if is_visible(words)), "Event")
    body = text(data.get("body")) or text(data.get("message")) or text(payload.get("data"))
    return [
        delivery.publication(
            title,
            body,
            payload,
            priority=_PRIORITIES.get(text(data.get("priority")), "normal"),
            key=delivery.id_key("webhook", delivery.headers.get("webhook-id", "")),
        )
    ]
