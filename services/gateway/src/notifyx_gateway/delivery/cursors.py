"""Decides what a rows message of the feed means for a topic that has been read up to ``head``. Pure.

The invariant: a topic's rows are delivered in ascending ``seq``, each once, and ``head`` is the last seq that was
delivered or no longer exists. A message that starts later than ``head + 1`` leaves a gap: it stays pending until the
missing rows have been read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Row = tuple[int, bytes]
"""A notification: its seq, and its JSON exactly as clients receive it."""


class FeedProtocolError(ValueError):
    """The store sent a message on the feed that violates the contract."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Every notification of ``topic`` in [first, last] that still exists."""

    topic: str
    first: int
    last: int
    published_ms: int
    lines: tuple[bytes, ...]

    def after(self, head: int) -> list[Row]:
        """Return its rows with a seq above ``head``."""
        if len(self.lines) == self.last - self.first + 1:
            # No seq is missing, so each seq follows from its index and nothing has to be parsed.
            skip = max(0, head + 1 - self.first)
            return [(self.first + skip + n, line) for n, line in enumerate(self.lines[skip:])]
        rows = [(seq_of(line), line) for line in self.lines]
        return [row for row in rows if row[0] > head]


@dataclass(slots=True)
class FeedCursor:
    """The seq up to which a watched topic was read; ``pending`` holds messages while a gap is being filled."""

    topic_id: str
    head: int
    pending: list[Rows] | None = field(default=None)


def seq_of(line: bytes) -> int:
    """Return the ``seq`` in a notification's JSON. Raises :class:`FeedProtocolError`."""
    try:
        seq = orjson.loads(line)["seq"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise FeedProtocolError("a row of the feed is not a notification") from None
    if not isinstance(seq, int):
        raise FeedProtocolError("a row of the feed has no seq")
    return seq


def classify(head: int, rows: Rows) -> Literal["old", "next", "gap"]:
    """Classify ``rows``: all read before, the next (possibly overlapping), or after a gap."""
    if rows.last <= head:
        return "old"
    return "next" if rows.first <= head + 1 else "gap"


def decode(message: bytes) -> Rows | dict[str, Any]:
    """Decode a message of the feed: :class:`Rows`, or the JSON object of any other type.

    Raises :class:`FeedProtocolError` if it is malformed.
    """
    first, *lines = message.split(b"\n")
    try:
        head = orjson.loads(first)
        if head["type"] != "rows":
            return dict(head)
        rows = Rows(head["topic"], head["from"], head["to"], int(head["published_ms"]), tuple(filter(None, lines)))
        expected = head["count"]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise FeedProtocolError("a message of the feed is malformed") from None
    if len(rows.lines) != expected or rows.first > rows.last or expected > rows.last - rows.first + 1:
        raise FeedProtocolError("a rows message of the feed does not add up")
    return rows
