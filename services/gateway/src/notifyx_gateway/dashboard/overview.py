"""The page's content: words first, then figures, lines, nodes and books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from notifyx_common.clock import rfc3339
from notifyx_gateway.dashboard.charts import Chart, chart, number
from notifyx_gateway.dashboard.collector import Sight
from notifyx_gateway.dashboard.frames import Frame
from notifyx_gateway.dashboard.history import History, count, latency, rate
from notifyx_gateway.dashboard.lines import SPANS, TEN_MINUTES, Line, Lines, Span
from notifyx_gateway.dashboard.nodes import Node
from notifyx_gateway.dashboard.topics import TopicLedger
from notifyx_gateway.dashboard.verdict import WINDOW, Problem, headline, judge

UNKNOWN = "-"
SHORT = 10.0
"""Seconds over which the figures of "now" are taken."""


AWAY = "Prometheus does not answer: the charts show the last ten minutes as this gateway saw them."


@dataclass(frozen=True, slots=True)
class Longer:
    """What Prometheus knows of ``span``; ``lines`` is ``None`` where it does not say."""

    span: Span
    lines: Lines | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its name and unit, and perhaps what else to know; ``bad`` draws the eye."""

    name: str
    value: str
    unit: str = ""
    note: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the page shows. ``ledger`` is ``None`` where topics are not shown.

    ``span`` is what the charts are about, ``spans`` what else can be chosen, and ``history_note`` says why it is not
    what was chosen.
    """

    headline: str
    problems: Sequence[Problem]
    figures: Sequence[Figure]
    charts: Sequence[Chart]
    services: Mapping[str, Sequence[Node]]
    ledger: Sequence[TopicLedger] | None
    taken_at: str
    span: Span
    spans: Sequence[Span]
    history_note: str

    @property
    def state(self) -> str:
        """``well``, ``warning`` or ``down``."""
        return self.problems[0].severity if self.problems else "well"


def overview(
    sight: Sight, history: History, ledger: Sequence[TopicLedger] | None, longer: Longer | None = None
) -> Overview:
    """The page for what was seen; ``longer`` is what Prometheus knows of the past, where there is one."""
    minute, now = history.last(WINDOW), history.last(SHORT)
    problems = judge(sight.services, minute)
    span, lines = TEN_MINUTES, history.lines(sight.at)
    if longer is not None and longer.lines is not None:
        span, lines = longer.span, longer.lines
    return Overview(
        headline=headline(problems),
        problems=problems,
        figures=_figures(now, minute),
        charts=_charts(lines, span.words),
        services=sight.services,
        ledger=ledger,
        taken_at=rfc3339(sight.taken_at),
        span=span,
        spans=SPANS if longer is not None else (),
        history_note="" if longer is None or longer.lines is not None else AWAY,
    )


def _figures(now: Sequence[Frame], minute: Sequence[Frame]) -> list[Figure]:
    levels: Mapping[str, float | None] = now[-1].levels if now else {}
    errors, failed = count(minute, "errors"), count(minute, "mails_failed")
    median, slowest = latency(minute, 0.5), latency(minute, 0.99)
    lookups = count(minute, "cache_lookups")
    share = 100 * count(minute, "cache_hits") / lookups if lookups else None
    return [
        Figure("Connections", _shown(levels.get("connections"))),
        Figure("Published", _shown(rate(now, "published")), "/s"),
        Figure("Delivered", _shown(rate(now, "delivered")), "/s"),
        Figure("Delivery time", _milliseconds(median), "ms", f"99 % within {_milliseconds(slowest)} ms"),
        Figure(
            "Email waiting",
            _shown(levels.get("mails_waiting")),
            "",
            f"{number(failed)} attempts failed",
            bad=failed > 0,
        ),
        Figure("From cache", _shown(share), "%" if share is not None else ""),
        Figure("Errors", number(errors), "in a minute", bad=errors > 0),
    ]


def _charts(lines: Lines, span: str) -> list[Chart]:
    def milliseconds(line: Line) -> Line:
        return [None if value is None else 1000 * value for value in line]

    times = {"99 %": milliseconds(lines.slowest), "half": milliseconds(lines.median)}
    mails = {"sent": lines.mails_sent, "failed": lines.mails_failed}
    return [
        chart("Published", {"now": lines.published}, "/s", span=span),
        chart("Delivered", {"now": lines.delivered}, "/s", span=span),
        chart("Delivery time", times, " ms", span=span, least_top=10),
        chart("Connections", {"now": lines.connections}, "", span=span, least_top=10),
        chart("Email", mails, "/s", span=span),
        chart("Errors", {"now": lines.errors}, "/s", span=span),
    ]


def _shown(value: float | None) -> str:
    return UNKNOWN if value is None else number(value)


def _milliseconds(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else number(1000 * seconds)
