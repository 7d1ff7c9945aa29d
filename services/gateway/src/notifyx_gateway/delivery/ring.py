"""The recent rows of one topic, bounded in number and bytes: what a client that was away for a moment missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from notifyx_gateway.delivery.cursors import Row

MAX_ROWS = 2048
MAX_BYTES = 2 << 20


class Ring:
    """Holds every row in (``floor``, head] that exists; what is at or below ``floor`` has to be read elsewhere."""

    __slots__ = ("_bytes", "_rows", "floor")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._rows: deque[Row] = deque()
        self._bytes = 0

    def extend(self, rows: Iterable[Row], *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        """Append rows (ascending) and let go of the oldest past the bounds."""
        for row in rows:
            self._rows.append(row)
            self._bytes += len(row[1])
        while self._rows and (len(self._rows) > max_rows or self._bytes > max_bytes):
            seq, raw = self._rows.popleft()
            self._bytes -= len(raw)
            self.floor = seq

    def after(self, cursor: int) -> list[Row] | None:
        """The rows above ``cursor``, ascending; ``None`` when some of them may have been let go."""
        if cursor < self.floor:
            return None
        found: list[Row] = []
        for row in reversed(self._rows):
            if row[0] <= cursor:
                break
            found.append(row)
        found.reverse()
        return found
