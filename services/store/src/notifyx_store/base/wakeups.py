"""The wake-ups that replicas send each other through PostgreSQL's NOTIFY, and their format.

They are hints: a lost one delays delivery and loses nothing. Each payload is a JSON object below NOTIFY's 8,000
bytes::

    {"t": [["<topic id>", last_seq], ...]}    new notifications      {"s": ["<user>", ...]}  subscriptions changed
    {"a": [["<topic id>", "<user>"], ...]}    acknowledgements       {"c": ["<name>", ...]}  a topic changed
    {"d": [["<topic id>", "<name>"], ...]}    a topic was deleted    {"e": ["<topic id>", ...]}  unread ones expired
    {"m": [["<sender>", "<recipient>"], ...]}  direct messages

``"o"`` names the replica that wrote it, where that matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

CHANNEL = "notifyx"


def notify(placeholder: str) -> str:
    """Return the SELECT that sends the payloads of the text array ``placeholder`` when the transaction commits."""
    return f"SELECT pg_notify('{CHANNEL}', payload) FROM unnest({placeholder}::text[]) AS wakeups(payload)"  # noqa: S608 - constants of the code


NOTIFY = notify("$1")
"""Sends the payloads of its one argument when the transaction commits."""

_MAX_PAYLOAD_BYTES = 7_900


@dataclass(frozen=True, slots=True)
class Wakeup:
    """The contents of one payload."""

    origin: str = ""
    rows: list[tuple[UUID, int]] = field(default_factory=list)
    acked: list[tuple[UUID, str]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    deleted: list[tuple[UUID, str]] = field(default_factory=list)
    expired: list[UUID] = field(default_factory=list)
    direct: list[tuple[str, str]] = field(default_factory=list)


def new_rows(heads: Sequence[tuple[UUID, int]], origin: str = "") -> list[str]:
    """Return payloads: notifications were committed up to these seqs."""
    return list(_split("t", [[str(topic), seq] for topic, seq in heads], origin))


def acknowledged(pairs: Sequence[tuple[UUID, str]]) -> list[str]:
    """Return payloads: these users acknowledged something in these topics."""
    return list(_split("a", [[str(topic), user] for topic, user in pairs]))


def subscriptions_changed(users: Sequence[str]) -> list[str]:
    """Return payloads: the subscriptions of these users changed."""
    return list(_split("s", list(users)))


def topic_changed(name: str) -> list[str]:
    """Return payloads: permissions or settings of the topic changed."""
    return list(_split("c", [name]))


def topic_deleted(topic: UUID, name: str) -> list[str]:
    """Return payloads: the topic was deleted."""
    return list(_split("d", [[str(topic), name]]))


def expired(topics: Sequence[UUID]) -> list[str]:
    """Return payloads: notifications of these topics were removed before somebody acknowledged them."""
    return list(_split("e", [str(topic) for topic in topics]))


def direct_messages(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return payloads: these senders sent direct messages to these recipients."""
    return list(_split("m", [list(pair) for pair in pairs]))


def parse(payload: str | bytes) -> Wakeup | None:
    """Parse a payload; return ``None`` for one that Notifyx did not write."""
    try:
        data = orjson.loads(payload)
        return Wakeup(
            origin=str(data.get("o", "")),
            rows=[(UUID(topic), int(seq)) for topic, seq in data.get("t", ())],
            acked=[(UUID(topic), str(user)) for topic, user in data.get("a", ())],
            users=[str(user) for user in data.get("s", ())],
            changed=[str(name) for name in data.get("c", ())],
            deleted=[(UUID(topic), str(name)) for topic, name in data.get("d", ())],
            expired=[UUID(topic) for topic in data.get("e", ())],
            direct=[(str(sender), str(recipient)) for sender, recipient in data.get("m", ())],
        )
    except (ValueError, TypeError, AttributeError):
        return None


def _split(kind: str, entries: list[Any], origin: str = "") -> Iterator[str]:
    """Yield payloads with all of ``entries``, each below the limit (a single entry is always far below it)."""
    head = f'{{"o":{orjson.dumps(origin).decode()},"{kind}":[' if origin else f'{{"{kind}":['
    part: list[str] = []
    size = len(head.encode()) + 2
    for entry in entries:
        text = orjson.dumps(entry).decode()
        cost = len(text.encode()) + 1
        if part and size + cost > _MAX_PAYLOAD_BYTES:
            yield f"{head}{','.join(part)}]}}"
            part, size = [], len(head.encode()) + 2
        part.append(text)
        size += cost
    if part:
        yield f"{head}{','.join(part)}]}}"
