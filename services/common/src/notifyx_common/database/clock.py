"""PostgreSQL's clock, as a node knows it: all nodes of a service store times of one clock, and compare with it.

A node measures how far PostgreSQL's time is ahead of its own *monotonic* time, and adds that to the latter. So its
wall clock may be wrong, and may be set meanwhile, and nothing that is stored shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from notifyx_common.clock import Clock

MEASURE_INTERVAL = 5.0
"""Seconds between two measurements: how long a node does not know that PostgreSQL's clock was set."""

READINGS = 3
"""Readings for a measurement, of which the most exact counts: the first one also prepares its statement, and any may be
held up."""

DRIFT = 0.001
"""Seconds by which two clocks may diverge each second: twice what NTP slews at most."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """PostgreSQL's time is ``ahead`` seconds ahead of the node's monotonic time, give or take ``error``, as of ``at``.

    ``at`` is of the node's monotonic time.
    """

    ahead: float
    error: float
    at: float

    @classmethod
    def of(cls, before: float, answer: datetime, after: float) -> Measurement:
        """Return what an ``answer`` says that was read between ``before`` and ``after`` of the node's time.

        It may have been read at any moment between them, so half of this time is the maximum error.
        """
        return cls(answer.timestamp() - (before + after) / 2, (after - before) / 2, after)

    def error_at(self, moment: float) -> float:
        """Return the maximum error at a later ``moment`` of the node's time."""
        return self.error + DRIFT * (moment - self.at)


def better(known: Measurement, new: Measurement) -> Measurement:
    """Return which of two measurements to go by: the more exact one, unless they contradict each other.

    Then a clock was set, and the ``new`` one holds.
    """
    error = known.error_at(new.at)
    contradict = abs(known.ahead - new.ahead) > error + new.error
    return new if contradict or new.error <= error else known


class DatabaseClock:
    """The clock of a database. Its monotonic time is that of the node."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._measured: Measurement | None = None

    def measure(self, before: float, answer: datetime, after: float) -> None:
        """Go by PostgreSQL's ``answer``, which was read between these moments of :meth:`monotonic`."""
        new = Measurement.of(before, answer, after)
        self._measured = new if self._measured is None else better(self._measured, new)

    def now(self) -> datetime:
        """Return PostgreSQL's time, in UTC."""
        assert self._measured is not None, "the database has not been entered"
        return datetime.fromtimestamp(self._own.monotonic() + self._measured.ahead, UTC)

    def monotonic(self) -> float:
        return self._own.monotonic()
