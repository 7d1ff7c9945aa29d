"""Reads the lines of the page from Prometheus: once for all viewers, who wait for it only a moment."""

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

VIEWER_TIMEOUT = 0.5
"""How long a viewer waits for a query, in seconds; a later answer is shown at the next refresh."""

MAX_CONCURRENT_QUERIES = 4
"""Maximum number of concurrent queries."""

MIN_RATE_WINDOW = 60.0
"""Minimum window of a rate, in seconds: four scrapes, 15 s apart, as Grafana recommends.

https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/#use-__rate_interval
"""


def queries(select: Callable[..., str], span: Span) -> dict[str, str]:
    """Return the PromQL expressions by the field of :class:`Lines` that each fills."""
    window = f"[{max(MIN_RATE_WINDOW, 2 * span.step):.0f}s]"
    buckets = f"sum by (le) (rate({select('notifyx_delivery_seconds_bucket')}{window}))"
    # A counter of failures has no series before the first one: then the rate is zero if there are any metrics at all.
    zero = f"0 * sum(rate({select('notifyx_http_requests_total')}{window}))"

    def rate(name: str, *matchers: str) -> str:
        return f"sum(rate({select(name, *matchers)}{window}))"

    sent, failed = rate("notifyx_mails_total", 'result="sent"'), rate("notifyx_mails_total", 'result="failed"')
    errors = rate("notifyx_http_requests_total", 'status=~"5.."', 'route!~"/healthz|/readyz"')
    return {
        "published": rate("notifyx_published_total"),
        "delivered": f"{rate('notifyx_deliveries_total')} or {zero}",
        "median": f"histogram_quantile(0.5, {buckets})",
        "p99": f"histogram_quantile(0.99, {buckets})",
        "connections": f"sum({select('notifyx_connections')})",
        "mails_sent": f"{sent} or {zero}",
        "mails_failed": f"{failed} or {zero}",
        "errors": f"{errors} or {zero}",
    }


def line(series: Sequence[Series], start: float, span: Span) -> Line:
    """Return the only series of an answer as a line from ``start`` (Unix seconds); missing values stay ``None``."""
    found: Line = [None] * span.steps
    for at, value in series[0].points if series else ():
        place = round((at - start) / span.step)
        if 0 <= place < span.steps and math.isfinite(value):
            found[place] = value
    return found


@dataclass(slots=True)
class _CachedLines:
    """The newest lines of a span, when they were read (monotonic seconds), and the query for newer ones."""

    lines: Lines | None = None
    at: float = -math.inf
    refresh: asyncio.Task[None] | None = None


class PrometheusCharts:
    """Lines over any span, cached for a fifth of its step."""

    def __init__(self, prometheus: Prometheus, clock: Clock, background: Background) -> None:
        self._prometheus = prometheus
        self._clock = clock
        self._cache: dict[str, _CachedLines] = {}
        self._tasks = background.tasks()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_QUERIES)

    async def lines(self, span: Span) -> Lines | None:
        """Return the newest lines known after at most :data:`VIEWER_TIMEOUT`; ``None`` if Prometheus did not answer."""
        cached = self._cache.setdefault(span.key, _CachedLines())
        if cached.refresh is None and self._clock.monotonic() - cached.at >= max(2.0, span.step / 5):
            cached.refresh = self._tasks.spawn("prometheus history", self._refresh(cached, span))
        if cached.refresh is not None:
            await asyncio.wait([cached.refresh], timeout=VIEWER_TIMEOUT)
        return cached.lines

    async def aclose(self) -> None:
        """Cancel running queries."""
        await self._tasks.close()

    async def _refresh(self, cached: _CachedLines, span: Span) -> None:
        try:
            cached.lines = await self._read(span)
        except NotifyxError as error:
            cached.lines = None
            log.info("prometheus_query_failed", reason=error.reason)
        finally:
            cached.at, cached.refresh = self._clock.monotonic(), None

    async def _read(self, span: Span) -> Lines:
        # On multiples of the step, so that each query asks for the same moments and the lines do not flicker.
        end = math.floor(self._clock.now().timestamp() / span.step) * span.step
        start = end - span.seconds + span.step

        async def one(expression: str) -> Line:
            async with self._slots:
                return line(await self._prometheus.range(expression, start=start, end=end, step=span.step), start, span)

        expressions = queries(self._prometheus.series, span)
        found = await asyncio.gather(*(one(expression) for expression in expressions.values()))
        return Lines(**dict(zip(expressions, found, strict=True)))
