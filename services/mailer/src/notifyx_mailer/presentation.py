"""Converts the contexts of the contract into what the templates show. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from markupsafe import Markup

from notifyx_common.contracts.mailer import (
    AccountMailContext,
    DigestContext,
    MailedNotification,
    NotificationContext,
    VerifyEmailContext,
)
from notifyx_common.contracts.store.names import PRIORITY_ORDER, Priority
from notifyx_mailer import plain_text
from notifyx_mailer.account_words import WORDS
from notifyx_mailer.data_rows import ROWS, Row, heading_of, rows_of
from notifyx_mailer.markdown import parse, to_html

TemplateContext = NotificationContext | DigestContext | VerifyEmailContext | AccountMailContext
"""A context that has a template."""

BODY_CHARS = 20_000
"""Maximum length of a body in an email about one notification, in characters; mail programs cut what is longer."""

EXCERPT_CHARS = 600
"""Maximum length of a body in a digest, in characters; less than what the store sends, so that a cut is seen."""

HEADING_CHARS = 200
"""Maximum length of a heading that is not a title, in characters."""

EXCERPT_ROWS = 6
"""Maximum number of rows of data in a digest."""


@dataclass(frozen=True, slots=True)
class ItemView:
    """One notification.

    ``heading`` says what it is about: the title, the beginning of the body, or what the data says. ``titled``: it is
    no part of the body, and is shown above it. ``body`` is HTML, ``body_text`` plain text.
    """

    heading: str
    titled: bool
    body: Markup
    body_text: str
    shortened: bool
    rows: Sequence[Row]
    more_rows: int
    priority: str
    publisher: str
    published_at: str
    link: str


@dataclass(frozen=True, slots=True)
class NotificationView:
    """The email about one notification."""

    item: ItemView
    source: str
    link: str
    acknowledge_link: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """The notifications of one topic in a digest."""

    source: str
    items: Sequence[ItemView]


@dataclass(frozen=True, slots=True)
class DigestView:
    """The email about several notifications; ``total`` also counts those that are not listed.

    ``priority`` is the highest of those that are. ``hourly``: it takes the place of what would be more emails in an
    hour than that.
    """

    source: str
    priority: Priority
    groups: Sequence[GroupView]
    more: int
    total: int
    hourly: int
    link: str
    acknowledge_link: str


@dataclass(frozen=True, slots=True)
class VerifyEmailView:
    """The email with one link to follow."""

    link: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """An email about an account; ``button`` names what ``link`` opens, ``ends_at`` is when it ends, if it does."""

    heading: str
    lines: Sequence[str]
    link: str
    button: str
    ends_at: str
    footer: str


View = NotificationView | DigestView | VerifyEmailView | AccountView


def view_of(context: TemplateContext) -> View:
    """Return the values that the template of ``context`` may use."""
    match context:
        case NotificationContext():
            return NotificationView(
                _item(context, zone_of(context.time_zone)),
                source=_source(context.topic, context.topic_title),
                link=_web_link(context.link),
                acknowledge_link=_web_link(context.acknowledge_link),
            )
        case DigestContext():
            groups = _groups(context)
            several = len(groups) > 1
            return DigestView(
                source=f"{len(groups)} topics" if several else _source(context.topic, context.topic_title),
                priority=max(
                    (item.priority for item in context.notifications), key=PRIORITY_ORDER.index, default="normal"
                ),
                groups=groups,
                more=context.more,
                total=len(context.notifications) + context.more,
                hourly=context.hourly,
                link=_web_link(context.link),
                acknowledge_link=_web_link(context.acknowledge_link),
            )
        case VerifyEmailContext():
            return VerifyEmailView(context.link, _moment(context.expires_at, zone_of(context.time_zone)))
        case AccountMailContext():
            return _account(context)


def _account(context: AccountMailContext) -> AccountView:
    words = WORDS[context.kind]
    at = _moment(context.at, zone_of(context.time_zone))
    when = f"on {at}" if at else "just now"
    return AccountView(
        heading=words.heading,
        lines=[line.format(email=context.email or "another one", when=when) for line in words.lines],
        link=_web_link(context.link) if words.button else "",
        button=words.button,
        ends_at=at if words.once else "",
        footer=words.footer,
    )


def zone_of(name: str) -> tzinfo:
    """Return the time zone of that name; UTC if there is none."""
    return _known_zone(name) if name else UTC


@lru_cache(maxsize=128)
def _known_zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a name that is none, a folder of the database, an unknown name
        return UTC


def _groups(context: DigestContext) -> list[GroupView]:
    zone = zone_of(context.time_zone)

    def source(item: MailedNotification) -> str:
        return _source(item.topic or context.topic, item.topic_title or context.topic_title)

    return [
        GroupView(name, [_item(item, zone, brief=True) for item in items])
        for name, items in groupby(context.notifications, key=source)
    ]


def _item(item: MailedNotification, zone: tzinfo, *, brief: bool = False) -> ItemView:
    """Return one notification whole, or the beginning of it as one of several."""
    title = " ".join(item.title.split())
    limit = EXCERPT_CHARS if brief else BODY_CHARS
    shortened = len(item.body) > limit
    tokens = parse(item.body[:limit].rstrip() + "\N{HORIZONTAL ELLIPSIS}" if shortened else item.body)
    first = plain_text.first_line(tokens)
    heading = title or first[:HEADING_CHARS] or heading_of(item.data)[:HEADING_CHARS] or "New notification"
    text = plain_text.to_text(tokens)
    repeated = bool(title) and text == title
    rows, more_rows = rows_of(item.data, EXCERPT_ROWS if brief else ROWS)
    return ItemView(
        heading=heading,
        titled=bool(title) or not first,
        body=Markup("") if repeated else to_html(tokens),
        body_text="" if repeated else text,
        shortened=shortened,
        rows=rows,
        more_rows=more_rows,
        priority="" if item.priority == "normal" else item.priority,
        publisher=item.publisher,
        published_at=_moment(item.published_at, zone),
        link=_web_link(item.link),
    )


def _source(topic: str, title: str) -> str:
    """Return the topic's title for people; an inbox has no title."""
    return "Direct messages" if topic.startswith("user:") else title or topic or "Notifyx"


def _moment(value: datetime | None, zone: tzinfo) -> str:
    if value is None:
        return ""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    local = aware.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M %Z}"


def _web_link(value: str) -> str:
    """Return ``value`` if it is a web link, else ``""`` (as for ``javascript:``)."""
    return value if re.fullmatch(r"https?://[^\s<>\"'\x00-\x1f]+", value) else ""
