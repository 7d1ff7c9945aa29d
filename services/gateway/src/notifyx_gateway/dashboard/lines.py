"""What the page draws: the spans that a viewer can choose, and the lines over one, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Line: TypeAlias = list[float | None]
"""A value for each step of a span, oldest first; ``None`` where nothing is known."""


@dataclass(frozen=True, slots=True)
class Span:
    """So many ``seconds`` up to now, in steps of ``step`` seconds; ``words`` name it."""

    key: str
    seconds: float
    step: float
    words: str

    @property
    def steps(self) -> int:
        """How many values a line has."""
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
    """The span of that key; ten minutes for any other."""
    return next((span for span in SPANS if span.key == key), TEN_MINUTES)


@dataclass(frozen=True, slots=True)
class Lines:
    """Rates are per second, delivery times in seconds (the median, and what 99 of 100 took at most)."""

    published: Line
    delivered: Line
    median: Line
    slowest: Line
    connections: Line
    mails_sent: Line
    mails_failed: Line
    errors: Line
