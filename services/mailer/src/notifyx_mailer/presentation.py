"""Converts the contexts of the contract into what the templates show. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from notifyx_common.contracts.mailer import DigestContext, MailedNotification, NotificationContext, VerifyEmailContext

TemplateContext = NotificationContext | DigestContext | VerifyEmailContext
"""A context that has a template."""


@dataclass(frozen=True, slots=True)
class ItemView:
    """One notification. ``heading`` is the title, or the beginning of the body where there is none."""

    heading: str
    body: str
    priority: str
    publisher: str
    published_at: str


@dataclass(frozen=True, slots=True)
class NotificationView(ItemView):
    """The email about one notification."""

    source: str
    link: str


@dataclass(frozen=True, slots=True)
class DigestView:
    """The email about several notifications; ``total`` also counts those that are not listed."""

    source: str
    items: list[ItemView]
    more: int
    total: int
    link: str


@dataclass(frozen=True, slots=True)
class VerifyEmailView:
    """The email with one link to follow."""

    link: str
    expires_at: str


View = NotificationView | DigestView | VerifyEmailView


def view_of(context: TemplateContext) -> View:
    """Return the values that the template of ``context`` may use."""
    match context:
        case NotificationContext():
            item = _item(context)
            return NotificationView(
                item.heading,
                item.body,
                item.priority,
                item.publisher,
                item.published_at,
                source=_source(context.topic, context.topic_title),
                link=_web_link(context.link),
            )
        case DigestContext():
            return DigestView(
                source=_source(context.topic, context.topic_title),
                items=[_item(one) for one in context.notifications],
                more=context.more,
                total=len(context.notifications) + context.more,
                link=_web_link(context.link),
            )
        case VerifyEmailContext():
            return VerifyEmailView(context.link, _moment(context.expires_at))


def _item(item: MailedNotification) -> ItemView:
    heading = " ".join(item.title.split()) or item.body.strip().partition("\n")[0][:100] or "New notification"
    return ItemView(heading, item.body, item.priority, item.publisher, _moment(item.published_at))


def _source(topic: str, title: str) -> str:
    """Return the topic's title for people; an inbox has no title."""
    return "Direct messages" if topic.startswith("user:") else title or topic or "Notifyx"


def _moment(value: datetime | None) -> str:
    if value is None:
        return ""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")


def _web_link(value: str) -> str:
    """Return ``value`` if it is a web link, else ``""`` (as for ``javascript:``)."""
    return value if re.fullmatch(r"https?://[^\s<>\"'\x00-\x1f]+", value) else ""
