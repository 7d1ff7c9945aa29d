"""Apprise's JSON and form notifications (``json://``, ``form://``) in their default form. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from notifyx_common.contracts.store.names import Priority
from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.plain_text import as_written
from notifyx_gateway.rest.hooks.publication import MAX_PARTS, Delivery, Part, items, mapping, text
from notifyx_topics.visible import is_visible

PRIORITIES: Mapping[str, Priority] = {"failure": "high", "warning": "high", "info": "normal", "success": "normal"}


def recognise(payload: object) -> bool:
    """Return whether ``payload`` is Apprise's."""
    return isinstance(payload, dict) and {"version", "message", "type"} <= set(payload)


def read(delivery: Delivery) -> list[Part]:
    """Return its one notification. It has no key: Apprise does not say whether two equal messages are one."""
    payload = mapping(delivery.payload)
    title, message = text(payload.get("title")), text(payload.get("message"))
    if not (is_visible(title) or is_visible(message)):
        raise InvalidRequest("This is no message of Apprise: it has neither title nor message.", code="unknown_webhook")
    if text(payload.get("format")) != "markdown":
        message = as_written(message)
    kind = text(payload.get("type"))
    attached = items(payload.get("attachments"))
    names = [text(mapping(one).get("filename")) for one in attached[:MAX_PARTS]]
    if left := len(attached) - len(names):
        names.append(f"and {left} more")
    data = {"type": kind, **({"attachments_left_out": names} if names else {})}
    return [delivery.publication(title, message, data, priority=PRIORITIES.get(kind, "normal"), key=None)]
