"""The feed's bookkeeping, without I/O: what a rows message means for a topic read up to ``head``.

The invariant: a topic's rows are handed on in ascending ``seq``, each once, and ``head`` is the last seq that was
handed on or is known to be gone. A message that starts later than ``head + 1`` is a gap: it is held until what is
missing has been read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Row = tuple[int, bytes]
"""A notification: its seq, and its JSON exactly as clients get it."""


class FeedProtocolError(ValueError):
    """The store sent something on the feed that is not in the contract."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Every notification of ``topic`` in [first, last] that still exists."""

    topic: str
    first: int
    last: int
    published_ms: int
    lines: tuple[bytes, ...]

    def after(self, head: int) -> list[Row]:
        """Its rows with a seq above ``head``."""
        if len(self.lines) == self.last - self.first + 1:
            # None is missing, so positions are seqs and nothing has to be parsed.
            skip = max(0, head + 1 - self.first)
            return [(self.first + skip + n, line) for n, line in enumerate(self.lines[skip:])]
        rows = [(seq_of(line), line) for line in self.lines]
        return [row for row in rows if row[0] > head]


@dataclass(slots=True)
class FeedCursor:
    """How far a watched topic has been read; ``held`` collects messages while a gap is being healed."""

    topic_id: str
    head: int
    pending: list[Rows] | None = field(default=None)


def seq_of(line: bytes) -> int:
    """The ``seq`` of a notification's JSON."""
    try:
        seq = orjson.loads(line)["seq"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise FeedProtocolError("a row of the feed is not a notification") from None
    if not isinstance(seq, int):
        raise FeedProtocolError("a row of the feed has no seq")
    return seq


def classify(head: int, rows: Rows) -> Literal["old", "next", "gap"]:
    """Where ``rows`` lies: wholly read before, continuing (perhaps overlapping), or leaving a gap."""
    if rows.last <= head:
        return "old"
    return "next" if rows.first <= head + 1 else "gap"


def decode(message: bytes) -> Rows | dict[str, Any]:
    """A message of the feed: :class:`Rows`, or the object of any other type.

    Raises :class:`FeedProtocolError` for what the contract does not know.
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
