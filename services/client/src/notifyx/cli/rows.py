"""Notifications as rows of a table. Topic and seq are as ``notifyx ack`` and ``notifyx show`` take them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from notifyx.channel_connection import USER_CHANNEL
from notifyx.cli.body_text import shown_body
from notifyx.cli.output import Writer, is_direct, moment, publisher
from notifyx.models import InboxNotification, Notification

MAX_BODY = 160
"""Characters that are shown of a body."""

MAX_DATA = 80
"""Characters that are shown of the data of a notification without a text."""


def show_acked(writer: Writer, items: Sequence[InboxNotification], *, empty: str) -> None:
    """Write a row for each notification of several topics; ``*`` marks those that are not acknowledged."""
    columns = [("" if one.acked else "*", _topic(one)) for one in items]
    _show(writer, ("UNREAD", "TOPIC"), columns, items, empty)


def show_log(writer: Writer, items: Sequence[Notification], *, empty: str) -> None:
    """Write a row for each notification of one topic."""
    _show(writer, (), [()] * len(items), items, empty)


def _show(
    writer: Writer,
    names: tuple[str, ...],
    columns: Sequence[tuple[str, ...]],
    items: Sequence[Notification],
    empty: str,
) -> None:
    if not items:
        writer.text(empty)
        return
    # Of a topic the name says where something is from; of a direct message only its publisher does.
    told = any(is_direct(one) for one in items)
    rows = [
        (
            *before,
            one.seq,
            moment(one.published_at),
            *((publisher(one) if is_direct(one) else "",) if told else ()),
            "" if one.priority == "normal" else one.priority,
            gist(one),
        )
        for before, one in zip(columns, items, strict=True)
    ]
    writer.table((*names, "SEQ", "WHEN", *(("FROM",) if told else ()), "PRIORITY", "WHAT"), rows)


def _topic(one: Notification) -> str:
    return USER_CHANNEL if is_direct(one) else one.topic


def gist(one: Notification) -> str:
    """Return one line about a notification: its title and the beginning of its body, else that of its data."""
    body = _beginning(" ".join(shown_body(one.body).split()), MAX_BODY)
    if one.title or body or not one.data:
        return ": ".join(part for part in (one.title, body) if part)
    return _beginning(json.dumps(one.data, ensure_ascii=False), MAX_DATA)


def shortened(text: str) -> str:
    """Return the beginning of a text, as rows show it."""
    return _beginning(text, MAX_BODY)


def _beginning(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
