"""The spans that a viewer can choose, and the lines over one, from whichever source. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

Line: TypeAlias = list[float | None]
"""One value for each step of a span, oldest first; ``None`` where it is unknown."""


@dataclass(frozen=True, slots=True)
class Span:
    """The last ``seconds``, in steps of ``step`` seconds; ``words`` is its name for people."""

    key: str
    seconds: float
    step: float
    words: str

    @property
    def steps(self) -> int:
        """Number of values of a line."""
        return int(self.seconds / self.step)


TEN_MINUTES = Span("10m", 600, 10, "10 minutes")
SPANS = (
    TEN_MINUTES,
    Span("1h", 3600, 30, "1 hour"),
    Span("6h", 6 * 3600, 180, "6 hours"),
    Span("1d", 24 * 3600, 720, "1 day"),
    Span("7d", 7 * 24 * 3600, 5040, "7 days"),
)


def span_of(key: str | None) -> Span:
    """Return the span of ``key``; ten minutes for an unknown key."""
    return next((span for span in SPANS if span.key == key), TEN_MINUTES)


@dataclass(frozen=True, slots=True)
class Lines:
    """All lines of the page. Rates are per second, delivery times (``median``, ``p99``) in seconds."""

    published: Line
    delivered: Line
    median: Line
    p99: Line
    connections: Line
    mails_sent: Line
    mails_failed: Line
    errors: Line

    def known(self, step: float) -> tuple[Lines, float]:
        """Return the lines from where something is known first, and how long before their end that is, in seconds."""
        lines: list[Line] = [getattr(self, line.name) for line in fields(self)]
        first = min((place for line in lines for place, value in enumerate(line) if value is not None), default=0)
        return Lines(*(line[first:] for line in lines)), (len(self.connections) - first) * step
