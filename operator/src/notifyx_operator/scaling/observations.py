"""What Prometheus says of the platform's load, and whether that is all of it. The queries, and their answers read.

Staleness: a target that could not be scraped gives no samples from then on, and those of a Prometheus that does not
scrape are found for five minutes (https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness); so the age
of what each node said last is asked too. Pure: :mod:`notifyx_operator.scaling.observe` does the asking.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from notifyx_operator.topics.demand import Demand

FRESH = 60
"""Seconds after which what a node said last is too old to count."""

DATABASE = "_database"
DATABASES = f'pool=~".+{DATABASE}"'
"""How the pools are called whose places are connections to a service's database."""

BUSY = 1
"""Requests a second from which a service's latency counts."""

Select = Callable[..., str]
"""Makes a selector of a metric's name and matchers, as :meth:`Prometheus.series` does."""


class Sample(Protocol):
    """One series of an answer."""

    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def value(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Observed:
    """The load as it was seen, and how many nodes of each service were heard lately.

    ``latency`` is each service's p99 in seconds, ``databases`` the share of its database connections that is in use.

    ``problem`` says, as a clause, why nothing could be seen.
    """

    load: Demand = field(default_factory=Demand)
    latency: Mapping[str, float] = field(default_factory=dict)
    databases: Mapping[str, float] = field(default_factory=dict)
    nodes: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


def queries(select: Select) -> dict[str, str]:
    """The expressions, by what they tell."""
    asked = 'route!~"/healthz|/readyz|/metrics"'
    buckets = select("notifyx_http_request_seconds_bucket", asked)
    requests = f"sum by (service) (rate({select('notifyx_http_request_seconds_count', asked)}[1m]))"
    used, limit = (
        f"sum by (pool) (avg_over_time({select('notifyx_pool_places', matcher, DATABASES)}[1m]))"
        for matcher in ('state="used"', 'state="limit"')
    )
    heard = f"max by (service, instance) (timestamp({select('notifyx_http_requests_total')}))"
    return {
        "connections": f"sum({select('notifyx_connections')})",
        "publishes": f"sum(rate({select('notifyx_published_total')}[1m]))",
        # What is sent, and what is overdue: to be sent within a minute. Every store counts the same outbox.
        "mailed": f"60 * sum(rate({select('notifyx_mails_total')}[1m]))",
        "mails_due": f"max({select('notifyx_outbox_due_emails')})",
        # Of a few answers, the slowest 1 % is one: chance.
        "latency": f"histogram_quantile(0.99, sum by (service, le) (rate({buckets}[1m]))) and {requests} > {BUSY}",
        "databases": f"{used} / {limit}",
        "nodes": f"count by (service) (time() - {heard} < {FRESH})",
    }


def read(answers: Mapping[str, Sequence[Sample]]) -> Observed:
    """The answers to :func:`queries`; what has no answer is nothing."""

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
            sample.labels.get("pool", "").removesuffix(DATABASE): sample.value
            for sample in answers.get("databases", ())
            if math.isfinite(sample.value)
        },
        nodes={sample.labels.get("service", ""): int(sample.value) for sample in answers.get("nodes", ())},
    )


def missing(observed: Observed, ready: Mapping[str, int]) -> str:
    """Why ``observed`` is not all there is, as a clause; empty when every ready node was heard."""
    if observed.problem:
        return observed.problem
    unheard = {name: count for name, count in ready.items() if observed.nodes.get(name, 0) < count}
    if not unheard:
        return ""
    name = min(unheard)
    return f"Prometheus has heard of {observed.nodes.get(name, 0)} of {unheard[name]} ready {name} nodes lately"
