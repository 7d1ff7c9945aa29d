"""What a webhook becomes: notifications that fit, whatever was sent. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.names import Priority
from notifyx_common.errors import NotifyxError
from notifyx_gateway.sizes import DEFAULT_SIZES, Sizes

Part: TypeAlias = KeyedNotification | NotifyxError
"""One part of a webhook: what to publish, or why it is none."""

MAX_PARTS = 1000
"""Elements that are read of one list of a webhook, as of a batch of CloudEvents."""

MAX_TITLE = 200
MAX_DEPTH = 16
"""Levels of data that are kept when it has to be shortened."""

SHORTER = (4096, 1024, 256, 64)
"""Lengths to which texts in data are cut, one after the other, until all of it fits."""

_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of a sender. ``headers`` have lower-case names; ``each`` is what becomes one notification,
    ``digest`` the SHA-256 of the body, ``sender`` the id of the credential, and ``signed`` whether the sender's
    signature proved it."""

    payload: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    each: str = "alert"
    digest: str = ""
    sender: str = ""
    signed: bool = False
    sizes: Sizes = DEFAULT_SIZES

    def id_key(self, prefix: str, given: str) -> str | None:
        """Return the key of the event that its sender gives the id ``given``: two senders may both begin with 1."""
        return event_key(prefix, self.sender, given) if given else None

    def publication(
        self, title: str, body: str, data: Mapping[str, Any], *, priority: Priority = "normal", key: str | None
    ) -> KeyedNotification:
        """Return the notification, with each part shortened that is too long; ``shortened`` in its data names them."""
        cut: list[str] = []
        title = _SPACE.sub(" ", title).strip()
        if len(title) > MAX_TITLE:
            cut.append("title")
            title = title[: MAX_TITLE - 1] + "…"
        body = body.replace("\0", "")
        if len(body) > self.sizes.body:
            cut.append("body")
            mark = f"…\n\n(Shortened: {len(body)} characters were sent.)"
            body = body[: self.sizes.body - len(mark)] + mark
        room = self.sizes.data - 64  # for the list of what was shortened
        fitting = fit(data, room)
        if fitting is not data:
            cut.append("data")
        if cut:
            fitting = {**fitting, "shortened": cut}
        return KeyedNotification(title=title, body=body, data=dict(fitting), priority=priority, key=key)


def event_key(prefix: str, *identity: object) -> str:
    """Return an idempotency key that is equal for equal identities."""
    return f"{prefix}-{hashlib.sha256(orjson.dumps([str(part) for part in identity])).hexdigest()}"


def text(value: object) -> str:
    """Return ``value`` as text for people; empty for what is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def mapping(value: object) -> Mapping[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return ``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def branch(payload: Mapping[str, Any]) -> str:
    """Return the branch or tag that ``ref`` names."""
    return text(payload.get("ref")).removeprefix("refs/heads/").removeprefix("refs/tags/")


def shown(lines: list[Any], line: Callable[[Any], str]) -> str:
    """Return the lines of the first :data:`MAX_PARTS` of a list, and how many more there are."""
    listed = [f"- {line(one)}" for one in lines[:MAX_PARTS]]
    left = len(lines) - len(listed)
    return "\n".join([*listed, f"- and {left} more"] if left else listed)


def fit(data: Mapping[str, Any], limit: int) -> Mapping[str, Any]:
    """Return ``data`` itself if its JSON fits into ``limit`` bytes, else a shortened copy that does."""
    if _size(data) <= limit:
        return data
    for max_length in (limit, *SHORTER):
        shorter: dict[str, Any] = _cut(data, max_length, MAX_DEPTH)
        if _size(shorter) <= limit:
            return shorter
    kept: dict[str, Any] = {}
    for name, value in shorter.items():
        if _size({**kept, name: value}) <= limit:
            kept[name] = value
    return kept


def _size(value: object) -> float:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # an integer of more than 64 bits, or too many levels
        return float("inf")


def _cut(value: Any, max_length: int, depth: int) -> Any:
    match value:
        case str():
            return value if len(value) <= max_length else value[: max_length - 1] + "…"
        case int() if not -(2**63) <= value < 2**64:
            return str(value)[:max_length]
        case dict() if depth:
            kept = list(value.items())[: max(8, max_length // 4)]
            return {_cut(name, max_length, 0): _cut(inner, max_length, depth - 1) for name, inner in kept}
        case list() if depth:
            return [_cut(inner, max_length, depth - 1) for inner in value[: max(8, max_length // 4)]]
        case dict() | list():
            return "…"
    return value
