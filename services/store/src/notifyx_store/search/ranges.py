"""Which ranges of the log are read for a page of a search, and what of the findings is certain. Pure.

Findings are ordered as the inbox is: by time, then topic, then seq, newest first. Each range knows the largest
position that a notification in it can have. A finding is *settled* once no range that is still unread may hold a larger
one; only settled findings are returned. So pages never repeat or skip anything, however many ranges each of them reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from notifyx_store.readers.inbox_cursor import InboxCursor

FIRST_BATCH = 4
MAX_BATCH = 64
"""Number of ranges read at once: few at first, because the words of most searches are in the newest."""

BATCH_BYTES = 512 << 10
"""Size of the notifications in them, beyond one range: reading a batch takes a small part of a page's time."""


class Range(NamedTuple):
    """Seqs of a topic, the times between which they were published, and the size of the notifications."""

    topic_id: UUID
    first_seq: int
    last_seq: int
    oldest_at: datetime
    newest_at: datetime
    bytes: int

    @property
    def top(self) -> InboxCursor:
        """The maximum position that a notification in this range can have."""
        return InboxCursor(self.newest_at, self.topic_id, self.last_seq)

    @property
    def bottom(self) -> InboxCursor:
        """The smallest position that a notification in this range can have."""
        return InboxCursor(self.oldest_at, self.topic_id, self.first_seq)


@dataclass(frozen=True, slots=True)
class Finding:
    """A notification that matches: its position, its JSON, whether the caller has acknowledged it, and who sent it."""

    position: InboxCursor
    payload: str
    acked: bool
    sender: str = ""


@dataclass(slots=True)
class Reading:
    """The state of the page that follows ``after``: the ranges to read, newest first, and what they have held.

    ``horizon`` is the maximum position that may be in ranges which are not listed.
    """

    after: InboxCursor
    ranges: list[Range]
    horizon: InboxCursor | None = None
    _found: list[Finding] = field(default_factory=list)
    _next: int = 0
    _before: int = 0
    _size: int = FIRST_BATCH

    @classmethod
    def begin(cls, listed: Iterable[Range], unlisted: Iterable[Range], after: InboxCursor) -> Reading:
        """Return the reading of what is below ``after``. ``unlisted``: the newest of ranges that were too many."""
        horizon = max((one.top for one in unlisted), default=None)
        ranges = [one for one in listed if one.bottom < after and (horizon is None or one.top > horizon)]
        return cls(after, sorted(ranges, key=lambda one: one.top, reverse=True), horizon)

    def batch(self) -> list[Range]:
        """Return the ranges to read next; each time more, as far as they are small."""
        chosen: list[Range] = []
        size = 0
        for one in self.ranges[self._next : self._next + self._size]:
            if chosen and size + one.bytes > BATCH_BYTES:
                break
            chosen.append(one)
            size += one.bytes
        self._before = self._next
        self._next += len(chosen)
        self._size = min(self._size * 2, MAX_BATCH)
        return chosen

    def give_back(self) -> None:
        """Leave the last batch, of which nothing was added, to the next page."""
        self._next = self._before

    def add(self, findings: Iterable[Finding]) -> None:
        """Record what the batch before has held."""
        self._found.extend(findings)
        self._found.sort(key=lambda one: one.position, reverse=True)

    def settled(self) -> Sequence[Finding]:
        """Return the findings that are certain, newest first."""
        frontier = self._frontier()
        if frontier is None:
            return self._found
        return [one for one in self._found if one.position > frontier]

    @property
    def advanced(self) -> bool:
        """Whether the page may end here: every range in which ``after`` lies is read, so that the next page begins
        further back.
        """
        frontier = self._frontier()
        return frontier is None or _following(frontier) < self.after

    def page(self, limit: int, max_bytes: int) -> tuple[list[Finding], InboxCursor | None]:
        """Return the settled findings that fit, and the cursor of what follows; ``None`` at the end."""
        settled = self.settled()
        chosen: list[Finding] = []
        size = 0
        for finding in settled[:limit]:
            if size >= max_bytes:
                break
            size += len(finding.payload.encode())
            chosen.append(finding)
        if len(chosen) < len(settled):
            return chosen, chosen[-1].position
        frontier = self._frontier()
        return chosen, None if frontier is None else _following(frontier)

    def _frontier(self) -> InboxCursor | None:
        return self.ranges[self._next].top if self._next < len(self.ranges) else self.horizon


def _following(frontier: InboxCursor) -> InboxCursor:
    """Return the cursor after which ``frontier`` itself is the first."""
    return InboxCursor(frontier.published_at, frontier.topic_id, frontier.seq + 1)
