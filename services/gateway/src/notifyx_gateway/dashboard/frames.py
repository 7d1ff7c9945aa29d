"""What happened on the whole platform between two rounds of asking, as a few figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from notifyx_gateway.dashboard.rates import Nodes, buckets, by_labels, highest, increase, total


@dataclass(frozen=True, slots=True)
class Frame:
    """The ``seconds`` up to ``at`` (monotonic). ``counts`` happened in them, ``levels`` are as of their end.

    ``latency`` are the deliveries by upper bound of their seconds, cumulative.
    """

    at: float
    seconds: float
    counts: Mapping[str, float]
    levels: Mapping[str, float | None]
    latency: Mapping[float, float]


def frame(at: float, seconds: float, before: Nodes, after: Nodes) -> Frame:
    """The figures between two rounds."""
    answered = by_labels(before, after, "notifyx_http_requests_total")
    # A node that starts or drains says so with 503, as it should.
    requests = {key: value for key, value in answered.items() if dict(key).get("route") not in ("/readyz", "/healthz")}
    cache = by_labels(before, after, "notifyx_cache_requests_total")
    counts = {
        "published": increase(before, after, "notifyx_published_total"),
        "delivered": increase(before, after, "notifyx_deliveries_total"),
        "mails_sent": increase(before, after, "notifyx_mails_total", result="sent"),
        "mails_failed": increase(before, after, "notifyx_mails_total", result="failed"),
        "requests": sum(requests.values()),
        "errors": sum(value for key, value in requests.items() if dict(key).get("status", "").startswith("5")),
        # A look-up asks the first tier, and the second one where that misses: one hit in either is a hit.
        "cache_lookups": sum(value for key, value in cache.items() if dict(key).get("tier") == "memory"),
        "cache_hits": sum(value for key, value in cache.items() if dict(key).get("result") == "hit"),
    }
    pending = highest(after, "notifyx_outbox_emails", state="pending")
    leased = highest(after, "notifyx_outbox_emails", state="leased")
    levels = {
        "connections": total(after, "notifyx_connections"),
        "mails_waiting": None if pending is None else pending + (leased or 0.0),
        "mail_age": highest(after, "notifyx_outbox_oldest_seconds"),
        "imbalance": highest(after, "notifyx_ledger_imbalance"),
        "feed_lag": highest(after, "notifyx_feed_lag_seconds"),
    }
    return Frame(at, seconds, counts, levels, buckets(before, after, "notifyx_delivery_seconds"))
