"""Queries Prometheus for the platform's load."""

from __future__ import annotations

import asyncio

from notifyx_common.calls.prometheus import Prometheus
from notifyx_common.errors import NotifyxError
from notifyx_operator.scaling.observations import Observed, parse, queries


async def observe(prometheus: Prometheus | None) -> Observed:
    """Query Prometheus. If it is unreachable, the reading names the problem; nothing is raised."""
    if prometheus is None:
        return Observed(problem="no Prometheus is configured", possible=False)
    expressions = queries(prometheus.series)
    try:
        answers = await asyncio.gather(*(prometheus.instant(query) for query in expressions.values()))
    except NotifyxError as error:
        return Observed(problem=f"there are no metrics: {error.reason.rstrip('.')}")
    return parse(dict(zip(expressions, answers, strict=True)))
