"""The clock of a simulated host: the event loop's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from simulation.loop import SimulatedLoop

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall clock at the beginning of each history."""


class SimulatedClock:
    """The same for all hosts."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()
