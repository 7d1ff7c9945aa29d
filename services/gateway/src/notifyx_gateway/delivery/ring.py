"""The newest rows of one topic, bounded in number and bytes, for clients that were disconnected for a moment. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from notifyx_gateway.delivery.cursors import Row

MAX_ROWS = 2048
MAX_BYTES = 2 << 20


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
