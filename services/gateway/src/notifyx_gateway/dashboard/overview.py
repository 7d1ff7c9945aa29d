"""The content of the page: problems first, then figures, charts, nodes and the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from notifyx_common.clock import rfc3339
from notifyx_gateway.dashboard.charts import NOT_KNOWN, Chart, chart, number
from notifyx_gateway.dashboard.collector import Snapshot
from notifyx_gateway.dashboard.incidents import Incident, IncidentLog, duration
from notifyx_gateway.dashboard.interval_buffer import IntervalBuffer, count, latency, rate
from notifyx_gateway.dashboard.intervals import Interval
from notifyx_gateway.dashboard.ledger import LedgerView
from notifyx_gateway.dashboard.lines import SPANS, TEN_MINUTES, Line, Lines, Span
from notifyx_gateway.dashboard.nodes import NodeState
from notifyx_gateway.dashboard.problems import WINDOW, Problem, find_problems, headline

CURRENT_WINDOW = 10.0
"""Time over which the figures of "now" are averaged, in seconds."""

PROMETHEUS_UNAVAILABLE = "Prometheus does not answer: the charts show the last ten minutes as this gateway saw them."


@dataclass(frozen=True, slots=True)
class PrometheusPeriod:
    """The lines of ``span`` from Prometheus; ``lines`` is ``None`` if it did not answer."""

    span: Span
    lines: Lines | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its name, unit and an optional note; ``bad`` highlights it, ``known``: it is a number."""

    name: str
    value: str
    unit: str = ""
    note: str = ""
    bad: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the page shows, as of the snapshot ``version``. ``ledger`` is ``None`` if topics are not shown.

    ``span`` is the time of the charts, ``spans`` are those that can be chosen; the charts begin ``charted`` ago (in
    words), where something is known first. ``history_note`` explains why the chosen span is not shown.
    """

    headline: str
    problems: Sequence[Problem]
    figures: Sequence[Figure]
    charts: Sequence[Chart]
    services: Mapping[str, Sequence[NodeState]]
    ledger: Sequence[LedgerView] | None
    taken_at: str
    version: str
    span: Span
    spans: Sequence[Span]
    charted: str
    history_note: str
    incidents: Sequence[Incident]

    @property
    def state(self) -> str:
        """``well``, ``warning`` or ``down``."""
        return self.problems[0].severity if self.problems else "well"


def overview(
    snapshot: Snapshot,
    history: IntervalBuffer,
    incidents: IncidentLog,
    ledger: Sequence[LedgerView] | None,
    prometheus: PrometheusPeriod | None = None,
) -> Overview:
    """Return the page for ``snapshot``; ``prometheus`` is ``None`` without a Prometheus."""
    minute, now = history.last(WINDOW), history.last(CURRENT_WINDOW)
    problems = find_problems(snapshot.services, minute, incidents.lately(snapshot.time, WINDOW))
    span, lines = TEN_MINUTES, history.lines(snapshot.monotonic)
    if prometheus is not None and prometheus.lines is not None:
        span, lines = prometheus.span, prometheus.lines
    lines, known = lines.known(span.step)
    charted = span.words if known >= span.seconds else duration(timedelta(seconds=known))
    return Overview(
        headline=headline(problems),
        problems=problems,
        figures=_figures(now, minute),
        charts=_charts(lines, charted),
        services=snapshot.services,
        ledger=ledger,
        taken_at=rfc3339(snapshot.time),
        version=snapshot.version,
        span=span,
        spans=SPANS if prometheus is not None else (),
        charted=charted,
        history_note="" if prometheus is None or prometheus.lines is not None else PROMETHEUS_UNAVAILABLE,
        incidents=incidents.newest(),
    )


def _figures(now: Sequence[Interval], minute: Sequence[Interval]) -> list[Figure]:
    levels: Mapping[str, float | None] = now[-1].levels if now else {}
    errors, failed = count(minute, "errors"), count(minute, "mails_failed")
    median, p99 = latency(minute, 0.5), latency(minute, 0.99)
    lookups = count(minute, "cache_lookups")
    share = 100 * count(minute, "cache_hits") / lookups if lookups else None
    return [
        _figure("Connections", levels.get("connections")),
        _figure("Published", rate(now, "published"), "/s"),
        _figure("Delivered", rate(now, "delivered"), "/s"),
        _figure(
            "Delivery time", _milliseconds(median), "ms", "" if p99 is None else f"99 % within {number(1000 * p99)} ms"
        ),
        _figure(
            "Email waiting",
            levels.get("mails_waiting"),
            "due or later",
            f"{number(failed)} attempt{'s' * (failed != 1)} failed in a minute",
            bad=failed > 0,
        ),
        _figure("From cache", share, "%"),
        Figure("Errors", number(errors), "in a minute", bad=errors > 0),
    ]


def _charts(lines: Lines, span: str) -> list[Chart]:
    def milliseconds(line: Line) -> Line:
        return [None if value is None else 1000 * value for value in line]

    times = {"99 % within": milliseconds(lines.p99), "half within": milliseconds(lines.median)}
    mails = {"sent": lines.mails_sent, "failed": lines.mails_failed}
    return [
        chart("Published", {"now": lines.published}, "/s", span=span),
        chart("Delivered", {"now": lines.delivered}, "/s", span=span),
        chart("Delivery time", times, " ms", span=span, least_top=10),
        chart("Connections", {"now": lines.connections}, "", span=span, least_top=10),
        chart("Email", mails, "/s", span=span),
        chart("Errors", {"now": lines.errors}, "/s", span=span),
    ]


def _figure(name: str, value: float | None, unit: str = "", note: str = "", *, bad: bool = False) -> Figure:
    if value is None:
        return Figure(name, NOT_KNOWN, "", note, bad, known=False)
    return Figure(name, number(value), unit, note, bad)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
