"""The page's lines out of Prometheus: asked once for all who look, and never waited for for long."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from notifyx_common.background import Background
from notifyx_common.calls.prometheus import Prometheus, Series
from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_gateway.dashboard.lines import Line, Lines, Span

log = get_logger(__name__)

WAIT = 0.5
"""Longest time a viewer waits for it, in seconds; the answer is there at the next refresh."""

AT_ONCE = 4
"""Queries that run at the same time."""

WINDOW = 60.0
"""Shortest window of a rate, in seconds: four scrapes a quarter of a minute apart, as Grafana wants at least.

https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/#use-__rate_interval
"""


def queries(select: Callable[..., str], span: Span) -> dict[str, str]:
    """The expressions, by the field of :class:`Lines` that they fill."""
    window = f"[{max(WINDOW, 2 * span.step):.0f}s]"
    buckets = f"sum by (le) (rate({select('notifyx_delivery_seconds_bucket')}{window}))"
    # Where nothing ever failed, nothing is counted of failures: then it is zero as long as anything is counted.
    zero = f"0 * sum(rate({select('notifyx_http_requests_total')}{window}))"

    def rate(name: str, *matchers: str) -> str:
        return f"sum(rate({select(name, *matchers)}{window}))"

    sent, failed = rate("notifyx_mails_total", 'result="sent"'), rate("notifyx_mails_total", 'result="failed"')
    errors = rate("notifyx_http_requests_total", 'status=~"5.."', 'route!~"/healthz|/readyz"')
    return {
        "published": rate("notifyx_published_total"),
        "delivered": f"{rate('notifyx_deliveries_total')} or {zero}",
        "median": f"histogram_quantile(0.5, {buckets})",
        "slowest": f"histogram_quantile(0.99, {buckets})",
        "connections": f"sum({select('notifyx_connections')})",
        "mails_sent": f"{sent} or {zero}",
        "mails_failed": f"{failed} or {zero}",
        "errors": f"{errors} or {zero}",
    }


def line(series: Sequence[Series], start: float, span: Span) -> Line:
    """The one series of an answer as a line whose first value is at ``start`` (Unix seconds); gaps stay gaps."""
    found: Line = [None] * span.steps
    for at, value in series[0].points if series else ():
        place = round((at - start) / span.step)
        if 0 <= place < span.steps and math.isfinite(value):
            found[place] = value
    return found


@dataclass(slots=True)
class _Kept:
    """The newest lines of a span, when they were asked for (monotonic), and who asks for newer ones."""

    lines: Lines | None = None
    at: float = -math.inf
    asking: asyncio.Task[None] | None = None


class PrometheusHistory:
    """Lines over any span, kept for a fifth of its step."""

    def __init__(self, prometheus: Prometheus, clock: Clock, background: Background) -> None:
        self._prometheus = prometheus
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._tasks = background.tasks()
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def lines(self, span: Span) -> Lines | None:
        """The newest lines that there are within :data:`WAIT`; ``None`` where Prometheus gives none."""
        kept = self._kept.setdefault(span.key, _Kept())
        if kept.asking is None and self._clock.monotonic() - kept.at >= max(2.0, span.step / 5):
            kept.asking = self._tasks.spawn("prometheus history", self._ask(kept, span))
        if kept.asking is not None:
            await asyncio.wait([kept.asking], timeout=WAIT)
        return kept.lines

    async def aclose(self) -> None:
        """Stop asking."""
        await self._tasks.close()

    async def _ask(self, kept: _Kept, span: Span) -> None:
        try:
            kept.lines = await self._read(span)
        except NotifyxError as error:
            kept.lines = None
            log.info("Prometheus gave no history", reason=error.reason)
        finally:
            kept.at, kept.asking = self._clock.monotonic(), None

    async def _read(self, span: Span) -> Lines:
        # On the step's own grid, so that the same moments are asked for again and the lines do not flicker.
        end = math.floor(self._clock.now().timestamp() / span.step) * span.step
        start = end - span.seconds + span.step

        async def one(expression: str) -> Line:
            async with self._turn:
                return line(await self._prometheus.range(expression, start=start, end=end, step=span.step), start, span)

        asked = queries(self._prometheus.series, span)
        found = await asyncio.gather(*(one(expression) for expression in asked.values()))
        return Lines(**dict(zip(asked, found, strict=True)))
