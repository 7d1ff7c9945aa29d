"""The last minutes of the platform, in memory: a bounded ring of frames, and the lines and figures it gives."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence

from notifyx_gateway.dashboard.frames import Frame
from notifyx_gateway.dashboard.lines import TEN_MINUTES, Line, Lines
from notifyx_gateway.dashboard.rates import quantile

SPAN, STEP = TEN_MINUTES.seconds, TEN_MINUTES.step
"""Seconds that are kept and shown, and of one point of a line."""

MOST = 600


class History:
    """Frames in the order of time."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque(maxlen=MOST)

    def add(self, frame: Frame) -> None:
        """Keep ``frame``; what is older than the span goes."""
        self._frames.append(frame)
        while frame.at - self._frames[0].at > SPAN:
            self._frames.popleft()

    @property
    def latest(self) -> Frame | None:
        """The newest frame."""
        return self._frames[-1] if self._frames else None

    def last(self, seconds: float) -> list[Frame]:
        """The frames of the newest ``seconds``."""
        return [frame for frame in self._frames if frame.at > self._frames[-1].at - seconds]

    def lines(self, now: float) -> Lines:
        """All lines of the last ten minutes before ``now`` (monotonic)."""
        return Lines(
            published=self.rates(now, "published"),
            delivered=self.rates(now, "delivered"),
            median=self.latencies(now, 0.5),
            slowest=self.latencies(now, 0.99),
            connections=self.levels(now, "connections"),
            mails_sent=self.rates(now, "mails_sent"),
            mails_failed=self.rates(now, "mails_failed"),
            errors=self.rates(now, "errors"),
        )

    def rates(self, now: float, name: str) -> Line:
        """How often ``name`` happened in a second."""
        return self._line(now, lambda frames: rate(frames, name))

    def levels(self, now: float, name: str) -> Line:
        """How high ``name`` was at the end of each step."""
        return self._line(now, lambda frames: frames[-1].levels.get(name))

    def latencies(self, now: float, share: float) -> Line:
        """The quantile ``share`` of the delivery latency, in seconds."""
        return self._line(now, lambda frames: latency(frames, share))

    def _line(self, now: float, value: Callable[[Sequence[Frame]], float | None]) -> Line:
        frames = list(self._frames)
        ends = [frame.at for frame in frames]
        found: Line = []
        count = int(SPAN / STEP)
        for number in range(count):
            end = now - (count - number - 1) * STEP
            place = bisect_right(ends, end - STEP)
            around = []
            # A frame may be longer than a step, and is then in several.
            while place < len(frames) and frames[place].at - frames[place].seconds < end:
                around.append(frames[place])
                place += 1
            found.append(value(around) if around else None)
        return found


def rate(frames: Sequence[Frame], name: str) -> float | None:
    """How often ``name`` happened in a second; ``None`` without frames."""
    seconds = sum(frame.seconds for frame in frames)
    return sum(frame.counts.get(name, 0.0) for frame in frames) / seconds if seconds > 0 else None


def count(frames: Sequence[Frame], name: str) -> float:
    """How often ``name`` happened."""
    return sum(frame.counts.get(name, 0.0) for frame in frames)


def latency(frames: Sequence[Frame], share: float) -> float | None:
    """The quantile ``share`` of the delivery latency, in seconds; ``None`` where nothing was delivered."""
    added: dict[float, float] = {}
    for frame in frames:
        for bound, observed in frame.latency.items():
            added[bound] = added.get(bound, 0.0) + observed
    return quantile(added, share)
