"""GitHub's webhooks: what happened, in one line, and the text that people wrote about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.github_events import describe
from notifyx_gateway.rest.hooks.publication import Delivery, Part, event_key, mapping, text

_ALWAYS = ("repository", "organization", "enterprise", "sender", "installation", "hook", "zen")
"""What GitHub's webhooks name: each has one of these, and most have several."""


def read(delivery: Delivery) -> list[Part]:
    """Return the one notification of the event; its body, name and id are the key."""
    payload = delivery.payload
    event = delivery.headers.get("x-github-event", "")
    if not isinstance(payload, dict) or not event:
        raise InvalidRequest(
            "This is no webhook of GitHub: it has no X-GitHub-Event or is no object.", code="unknown_webhook"
        )
    if not any(payload.get(name) for name in _ALWAYS) and not mapping(payload.get(event)):
        raise InvalidRequest(
            "This is no webhook of GitHub: it names neither a repository nor a sender.", code="unknown_webhook"
        )
    repository = text(mapping(payload.get("repository")).get("full_name"))
    described = describe(event, payload, _sender(payload) or "somebody")
    data = {
        "event": event,
        **{name: value for name, value in (("repository", repository), ("url", described.link)) if value},
        **({"action": payload["action"]} if text(payload.get("action")) else {}),
        **({"sender": sender} if (sender := _sender(payload)) else {}),
        **described.data,
    }
    title = f"{repository}: {described.words}" if repository else described.words
    # Two events may have equal bodies (a workflow that is started twice): GitHub tells them apart by the id, which a
    # redelivery keeps. It is not signed; who could copy a signed body has broken TLS, and repeats what was true.
    identity = (delivery.digest, event, delivery.headers.get("x-github-delivery", ""))
    key = event_key("github", *identity) if delivery.digest else None
    return [delivery.publication(title, described.body, data, priority=described.priority, key=key)]


def _sender(payload: Mapping[str, Any]) -> str:
    return text(mapping(payload.get("sender")).get("login")) or text(mapping(payload.get("pusher")).get("name"))
