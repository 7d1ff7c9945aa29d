"""The feed's wire format (:mod:`notifyx_common.contracts.store.feed`): parses messages, writes frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import TypeAdapter

from notifyx_common.contracts.store.feed import Operation
from notifyx_common.reading import parse_as, parse_json
from notifyx_store.feed.core import FeedRow
from notifyx_store.topics.permissions import SettingsVersion

_OPERATIONS: TypeAdapter[Operation] = TypeAdapter(Operation)


def parse(text: str | bytes) -> Operation:
    """Parse a gateway's message. Raises :class:`InvalidRequest`."""
    return parse_as(_OPERATIONS, parse_json(text))


def rows_frame(topic: str, first: int, last: int, items: Sequence[FeedRow], now_ms: int) -> str:
    """Return the frame with all existing rows of ``first``..``last``, encoded as they were when published."""
    published_ms = items[0].published_ms if items else now_ms
    head = (
        f'{{"type":"rows","topic":"{topic}","from":{first},"to":{last},"count":{len(items)},'
        f'"published_ms":{published_ms}}}'
    )
    return "\n".join([head, *(item.payload for item in items)])


def acked_frame(
    topic: str, user: str, up_to: int, seqs: Sequence[int], *, unread: int, expired: int, revision: int, head: int
) -> str:
    """Return the frame with a user's position in a topic after an acknowledgement, or after one was taken back."""
    return _frame({
        "type": "acked", "topic": topic, "user": user, "up_to": up_to, "seqs": list(seqs), "unread": unread,
        "expired": expired, "revision": revision, "head": head,
    })  # fmt: skip


def expired_frame(topic: str) -> str:
    """Return the frame: unread notifications of the topic were removed."""
    return _frame({"type": "expired", "topic": topic})


def subscriptions_frame(user: str) -> str:
    """Return the frame: the user's subscriptions changed."""
    return _frame({"type": "subscriptions", "user": user})


def sent_frame(user: str, to: str | None) -> str:
    """Return the frame: the user sent a direct message; ``to`` is ``None`` where some may have been missed."""
    return _frame({"type": "sent", "user": user, "to": to})


def deleted_frame(topic: str) -> str:
    """Return the frame: the topic was deleted, and its watch ended."""
    return _frame({"type": "topic_deleted", "topic": topic})


def version_frame(topic: str, version: SettingsVersion) -> str:
    """Return the frame: the version of the topic's settings as its watch begins."""
    return _frame({"type": "topic_version", "topic": topic, "version": version.id, "public": version.public})


def changed_frame(topic: str, version: SettingsVersion) -> str:
    """Return the frame: permissions or settings of the topic changed."""
    return _frame({"type": "topic_changed", "topic": topic, "version": version.id, "public": version.public})


def pong_frame(number: int) -> str:
    """Return the answer to a ping."""
    return _frame({"type": "pong", "n": number})


def _frame(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()
