"""When a part that does not answer counts as lost. Pure.

People are notified within three seconds. Of these a part has :data:`SILENT_AFTER`; polling it, noticing and showing
take the rest. A part that is only late on a busy machine is not lost, for two reasons: the time in which the watcher
itself did not run is counted up to :data:`MAX_STEP` only, since an answer that came meanwhile could not be read; and
where other answers take long, too, a part has several times as long as these (:class:`Pace`).
"""

from __future__ import annotations

import statistics
from collections import deque

SILENT_AFTER = 1.25
"""How long a part may be silent, in seconds."""

TICK = 0.1
"""Interval at which the watcher observes a part, in seconds."""

MAX_STEP = 2 * TICK
"""Maximum time that counts between two observations, in seconds."""

SLOWER = 4
"""A part is not lost before that many times the time that others take."""

MAX_SLOWER = 4
"""That many times :data:`SILENT_AFTER` are silence, however long others take."""

RECENT_ANSWERS = 9
RECENT_SECONDS = 15.0
"""Which answers show how long others take: the newest of the last seconds."""


class Pace:
    """How long answers take at present: the median of the newest ones, so that a single slow part is no measure."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, float]] = deque(maxlen=RECENT_ANSWERS)

    def note(self, now: float, seconds: float) -> None:
        """Record an answer at ``now`` (monotonic seconds) that took that many seconds."""
        self._answers.append((now, seconds))

    def patience(self, seconds: float, now: float) -> float:
        """Return how long to wait where ``seconds`` are enough for answers that take no time."""
        recent = [took for at, took in self._answers if now - at < RECENT_SECONDS]
        usual = statistics.median(recent) if recent else 0.0
        return min(max(seconds, SLOWER * usual), MAX_SLOWER * seconds)


class Silence:
    """How long one part has owed an answer, as far as its watcher ran meanwhile."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._observed_at: float | None = None

    def observe(self, now: float) -> None:
        """Record that at ``now`` (monotonic seconds) an answer is owed."""
        if self._observed_at is not None:
            self.seconds += min(now - self._observed_at, MAX_STEP)
        self._observed_at = now

    def end(self) -> None:
        """Record an answer."""
        self.seconds, self._observed_at = 0.0, None
