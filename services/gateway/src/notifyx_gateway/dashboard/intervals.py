"""The figures of the whole platform for the interval between two polls. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from notifyx_gateway.dashboard.rates import NodeReadings, buckets, by_labels, highest, increase, total


@dataclass(frozen=True, slots=True)
class Interval:
    """The ``seconds`` that end at ``at`` (monotonic). ``counts`` are events in it, ``levels`` gauges at its end.

    ``latency`` holds cumulative numbers of deliveries by the upper bound of their duration in seconds.
    """

    at: float
    seconds: float
    counts: Mapping[str, float]
    levels: Mapping[str, float | None]
    latency: Mapping[float, float]


def interval_between(at: float, seconds: float, before: NodeReadings, after: NodeReadings) -> Interval:
    """Return the figures of the interval between the readings ``before`` and ``after``."""
    answered = by_labels(before, after, "notifyx_http_requests_total")
    # A node that starts or drains answers its probes with 503: no error.
    requests = {key: value for key, value in answered.items() if dict(key).get("route") not in ("/readyz", "/healthz")}
    cache = by_labels(before, after, "notifyx_cache_requests_total")
    counts = {
        "published": increase(before, after, "notifyx_published_total"),
        "delivered": increase(before, after, "notifyx_deliveries_total"),
        "mails_sent": increase(before, after, "notifyx_mails_total", result="sent"),
        "mails_failed": increase(before, after, "notifyx_mails_total", result="failed"),
        "mails_unwelcome": increase(before, after, "notifyx_mail_refusals_total", cause="policy"),
        "limited": increase(before, after, "notifyx_rate_limit_checks_total", result="refused"),
        "requests": sum(requests.values()),
        "errors": sum(value for key, value in requests.items() if dict(key).get("status", "").startswith("5")),
        # A look-up reads the first tier, and the second one after a miss: a hit in either is a hit.
        "cache_lookups": sum(value for key, value in cache.items() if dict(key).get("tier") == "memory"),
        "cache_hits": sum(value for key, value in cache.items() if dict(key).get("result") == "hit"),
    }
    pending = highest(after, "notifyx_outbox_emails", state="pending")
    leased = highest(after, "notifyx_outbox_emails", state="leased")
    levels = {
        "connections": total(after, "notifyx_connections"),
        "mails_waiting": None if pending is None else pending + (leased or 0.0),
        "mail_age": highest(after, "notifyx_outbox_oldest_seconds"),
        "addresses_stopped": highest(after, "notifyx_refused_addresses", state="stopped"),
        "storage_alarm": highest(after, "notifyx_alarm", resource="storage"),
        "memory_alarm": highest(after, "notifyx_alarm", resource="memory"),
        "imbalance": highest(after, "notifyx_ledger_imbalance"),
        "feed_lag": highest(after, "notifyx_feed_lag_seconds"),
    }
    return Interval(at, seconds, counts, levels, buckets(before, after, "notifyx_delivery_seconds"))
