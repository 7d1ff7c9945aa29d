"""The newest rows of one topic, bounded in number and bytes, for clients that were disconnected for a moment. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from notifyx_gateway.delivery.cursors import Row

MAX_ROWS = 2048
MAX_BYTES = 2 << 20
MAX_PREPENDED = 64 << 10
"""Bytes of what is kept of one read of the log."""


class Ring:
    """Every row in (``floor``, head] that exists; rows at or below ``floor`` must be read from the store."""

    __slots__ = ("_bytes", "_rows", "floor")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._rows: deque[Row] = deque()
        self._bytes = 0

    def extend(self, rows: Iterable[Row], *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        """Append rows (ascending) and evict the oldest beyond the bounds."""
        for row in rows:
            self._rows.append(row)
            self._bytes += len(row[1])
        while self._rows and (len(self._rows) > max_rows or self._bytes > max_bytes):
            seq, raw = self._rows.popleft()
            self._bytes -= len(raw)
            self.floor = seq

    def prepend(self, after: int, rows: Sequence[Row], up_to: int) -> None:
        """Keep what was read from the log, all rows in (``after``, ``up_to``], if it ends where the ring begins."""
        if not after < self.floor <= up_to:
            return
        older = [row for row in rows if row[0] <= self.floor]
        size = sum(len(raw) for _, raw in older)
        if size <= MAX_PREPENDED and self._bytes + size <= MAX_BYTES and len(self._rows) + len(older) <= MAX_ROWS:
            self._rows.extendleft(reversed(older))
            self._bytes += size
            self.floor = after

    def clear(self) -> None:
        """Evict all rows."""
        if self._rows:
            self.floor = self._rows[-1][0]
        self._rows.clear()
        self._bytes = 0

    def after(self, cursor: int) -> list[Row] | None:
        """Return the rows above ``cursor``, ascending; ``None`` if some of them may have been evicted."""
        if cursor < self.floor:
            return None
        found: list[Row] = []
        for row in reversed(self._rows):
            if row[0] <= cursor:
                break
            found.append(row)
        found.reverse()
        return found
