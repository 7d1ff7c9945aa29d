"""The links in emails, all to this deployment. Pure.

What a link opens without a sign-in is behind a signed token of one purpose; opening the link changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from notifyx_topics.names import INBOX_PREFIX


def notification_link(public_url: str, topic: str, seq: int) -> str:
    """Return the page of one notification in the web client."""
    return f"{topic_link(public_url, topic)}/n/{seq}"


def topic_link(public_url: str, topic: str) -> str:
    """Return the page of a topic in the web client; of an inbox topic, its owner's direct messages."""
    return f"{public_url}/messages" if topic.startswith(INBOX_PREFIX) else f"{public_url}/topics/{quote(topic)}"


def unsubscribe_link(public_url: str, token: str) -> str:
    """Return the link that ends subscriptions' email: a page by GET, at once by POST (RFC 8058)."""
    return f"{public_url}/unsubscribe?token={quote(token, safe='')}"


def acknowledge_link(public_url: str, token: str) -> str:
    """Return the page that acknowledges what an email is about; empty without a token."""
    return f"{public_url}/acknowledge?token={quote(token, safe='')}" if token else ""


def with_links(context: Mapping[str, Any], public_url: str) -> dict[str, Any]:
    """Return the context of a mail with the links to what it is about; those that it has already stay."""
    items = context.get("notifications")
    if not isinstance(items, list):
        return {"link": _link_of(context, public_url), **context}
    topic = context.get("topic")
    return {
        "link": topic_link(public_url, topic) if isinstance(topic, str) and topic else f"{public_url}/inbox",
        **context,
        "notifications": [
            {"link": _link_of(item, public_url), **item} if isinstance(item, dict) else item for item in items
        ],
    }


def _link_of(item: Mapping[str, Any], public_url: str) -> str:
    match item:
        case {"topic": str(topic), "seq": int(seq)}:
            return notification_link(public_url, topic, seq)
    return f"{public_url}/"
