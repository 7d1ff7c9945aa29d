"""The last ten minutes of the platform in memory: a bounded ring of intervals, and the chart lines from it. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence

from notifyx_gateway.dashboard.intervals import Interval
from notifyx_gateway.dashboard.lines import TEN_MINUTES, Line, Lines
from notifyx_gateway.dashboard.rates import quantile

SPAN_SECONDS, STEP_SECONDS = TEN_MINUTES.seconds, TEN_MINUTES.step
"""Time that is stored and shown, and time between two points of a line, in seconds."""

MAX_INTERVALS = 600


class IntervalBuffer:
    """Intervals in the order of time."""

    def __init__(self) -> None:
        self._intervals: deque[Interval] = deque(maxlen=MAX_INTERVALS)

    def add(self, interval: Interval) -> None:
        """Append ``interval`` and drop those older than the span."""
        self._intervals.append(interval)
        while interval.at - self._intervals[0].at > SPAN_SECONDS:
            self._intervals.popleft()

    @property
    def latest(self) -> Interval | None:
        """The newest interval, if any."""
        return self._intervals[-1] if self._intervals else None

    def last(self, seconds: float) -> list[Interval]:
        """Return the intervals of the newest ``seconds``."""
        return [interval for interval in self._intervals if interval.at > self._intervals[-1].at - seconds]

    def lines(self, now: float) -> Lines:
        """Return all lines of the ten minutes before ``now`` (monotonic seconds)."""
        return Lines(
            published=self.rates(now, "published"),
            delivered=self.rates(now, "delivered"),
            median=self.latencies(now, 0.5),
            p99=self.latencies(now, 0.99),
            connections=self.levels(now, "connections"),
            mails_sent=self.rates(now, "mails_sent"),
            mails_failed=self.rates(now, "mails_failed"),
            errors=self.rates(now, "errors"),
        )

    def rates(self, now: float, name: str) -> Line:
        """Return the rate of ``name`` per second, step by step."""
        return self._line(now, lambda intervals: rate(intervals, name))

    def levels(self, now: float, name: str) -> Line:
        """Return the level of ``name`` at the end of each step."""
        return self._line(now, lambda intervals: intervals[-1].levels.get(name))

    def latencies(self, now: float, share: float) -> Line:
        """Return the quantile ``share`` of the delivery latency in each step, in seconds."""
        return self._line(now, lambda intervals: latency(intervals, share))

    def _line(self, now: float, value: Callable[[Sequence[Interval]], float | None]) -> Line:
        intervals = list(self._intervals)
        ends = [interval.at for interval in intervals]
        found: Line = []
        count = int(SPAN_SECONDS / STEP_SECONDS)
        for number in range(count):
            end = now - (count - number - 1) * STEP_SECONDS
            place = bisect_right(ends, end - STEP_SECONDS)
            around = []
            # An interval may be longer than a step; it then counts in several.
            while place < len(intervals) and intervals[place].at - intervals[place].seconds < end:
                around.append(intervals[place])
                place += 1
            found.append(value(around) if around else None)
        return found


def rate(intervals: Sequence[Interval], name: str) -> float | None:
    """Return the rate of ``name`` per second; ``None`` without intervals."""
    seconds = sum(interval.seconds for interval in intervals)
    return sum(interval.counts.get(name, 0.0) for interval in intervals) / seconds if seconds > 0 else None


def count(intervals: Sequence[Interval], name: str) -> float:
    """Return the number of events ``name``."""
    return sum(interval.counts.get(name, 0.0) for interval in intervals)


def latency(intervals: Sequence[Interval], share: float) -> float | None:
    """Return the quantile ``share`` of the delivery latency, in seconds; ``None`` if nothing was delivered."""
    added: dict[float, float] = {}
    for interval in intervals:
        for bound, observed in interval.latency.items():
            added[bound] = added.get(bound, 0.0) + observed
    return quantile(added, share)
