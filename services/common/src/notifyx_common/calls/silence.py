"""When a part that does not answer counts as lost. Pure.

People are told within three seconds. Of these a part has :data:`SILENT_AFTER`; asking it, noticing and showing take
the rest. A part that is only late on a busy machine is not lost: the time in which the watcher itself did not run is
hardly counted, since an answer that came meanwhile could not be read.
"""

from __future__ import annotations

SILENT_AFTER = 1.75
"""How long a part may be silent, in seconds."""

TICK = 0.2
"""Seconds between two looks of the watcher."""

MAX_STEP = 2 * TICK
"""Maximum time that counts between two looks, in seconds."""


class Silence:
    """How long one part has owed an answer, as far as its watcher ran meanwhile."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._looked_at: float | None = None

    def look(self, now: float) -> None:
        """Record that at ``now`` (monotonic seconds) an answer is owed."""
        if self._looked_at is not None:
            self._seconds += min(now - self._looked_at, MAX_STEP)
        self._looked_at = now

    def end(self) -> None:
        """Record an answer."""
        self._seconds, self._looked_at = 0.0, None

    @property
    def too_long(self) -> bool:
        """Whether the part counts as lost."""
        return self._seconds >= SILENT_AFTER
