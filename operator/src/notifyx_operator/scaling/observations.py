"""The Prometheus queries for the platform's load, the parsing of their answers, and whether the answers are complete.

Pure: :mod:`notifyx_operator.scaling.observe` sends the queries. A target that fails to be scraped has no samples from
then on, but if Prometheus does not scrape at all, it returns old samples for five minutes
(https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness). So the age of each node's newest sample is
queried too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from notifyx_operator.topics.demand import Demand

STALE_AFTER = 60
"""Age in seconds from which a node's newest sample no longer counts."""

DATABASE_SUFFIX = "_database"
DATABASE_POOLS = f'pool=~".+{DATABASE_SUFFIX}"'
"""Matcher of the pools that hold connections to a service's database."""

MIN_REQUEST_RATE = 1
"""A service's latency counts only above this many requests a second."""

Select = Callable[..., str]
"""Builds a selector from a metric's name and matchers, as :meth:`Prometheus.series` does."""


class Sample(Protocol):
    """One series of a query's result."""

    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def value(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed load, and the number of nodes of each service with a recent sample.

    ``latency``: each service's p99 in seconds. ``databases``: the share of its database connections in use.
    ``problem``: why nothing was observed, as a clause. ``possible``: whether there is a Prometheus to observe with.
    """

    load: Demand = field(default_factory=Demand)
    latency: Mapping[str, float] = field(default_factory=dict)
    databases: Mapping[str, float] = field(default_factory=dict)
    nodes: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    possible: bool = True


def queries(select: Select) -> dict[str, str]:
    """Return the PromQL expressions, by the quantity that they return."""
    served = 'route!~"/healthz|/readyz|/metrics"'
    buckets = select("notifyx_http_request_seconds_bucket", served)
    p99 = f"histogram_quantile(0.99, sum by (service, le) (rate({buckets}[1m])))"
    requests = f"sum by (service) (rate({select('notifyx_http_request_seconds_count', served)}[1m]))"
    used, limit = (
        f"sum by (pool) (avg_over_time({select('notifyx_pool_places', matcher, DATABASE_POOLS)}[1m]))"
        for matcher in ('state="used"', 'state="limit"')
    )
    newest = f"max by (service, instance) (timestamp({select('notifyx_http_requests_total')}))"
    return {
        "connections": f"sum({select('notifyx_connections')})",
        "publishes": f"sum(rate({select('notifyx_published_total')}[1m]))",
        # The rate of sending, plus the due emails, to be sent within a minute. Every store counts the same outbox: max.
        "mailed": f"60 * sum(rate({select('notifyx_mails_total')}[1m]))",
        "mails_due": f"max({select('notifyx_outbox_due_emails')})",
        # With few requests the p99 is a single request, and says nothing.
        "latency": f"{p99} and {requests} > {MIN_REQUEST_RATE}",
        "databases": f"{used} / {limit}",
        "nodes": f"count by (service) (time() - {newest} < {STALE_AFTER})",
    }


def parse(answers: Mapping[str, Sequence[Sample]]) -> Observed:
    """Parse the results of :func:`queries`; an empty result counts as 0."""

    def total(name: str) -> float:
        return sum(sample.value for sample in answers.get(name, ()) if math.isfinite(sample.value))

    return Observed(
        load=Demand(
            connections=total("connections"),
            publishes_per_second=total("publishes"),
            emails_per_minute=total("mailed") + total("mails_due"),
        ),
        latency={
            sample.labels.get("service", ""): sample.value
            for sample in answers.get("latency", ())
            if math.isfinite(sample.value)
        },
        databases={
            sample.labels.get("pool", "").removesuffix(DATABASE_SUFFIX): sample.value
            for sample in answers.get("databases", ())
            if math.isfinite(sample.value)
        },
        nodes={sample.labels.get("service", ""): int(sample.value) for sample in answers.get("nodes", ())},
    )


def incomplete_reason(observed: Observed, ready: Mapping[str, int]) -> str:
    """Return why ``observed`` is incomplete, as a clause; empty if every ready node has a recent sample."""
    if observed.problem:
        return observed.problem
    unheard = {name: count for name, count in ready.items() if observed.nodes.get(name, 0) < count}
    if not unheard:
        return ""
    name = min(unheard)
    return f"Prometheus has heard of {observed.nodes.get(name, 0)} of {unheard[name]} ready {name} nodes lately"
