"""The metrics of the store's hot path (the catalogue describes them)."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

from notifyx_common.metrics import Metrics


@dataclass(frozen=True, slots=True)
class StoreMetrics:
    """The store's metrics, resolved once so that the hot path needs no lookup."""

    published: Counter
    acked: Counter
    inbox_full: Counter
    account_storage_full: Counter
    batch_size: Histogram
    commit_seconds: Histogram
    feed_connections: Gauge
    feed_lag: Gauge

    @classmethod
    def of(cls, metrics: Metrics) -> StoreMetrics:
        """Return the store's metrics on the process's registry."""
        return cls(
            published=metrics.counter("notifyx_published_total"),
            acked=metrics.counter("notifyx_acked_total"),
            inbox_full=metrics.counter("notifyx_inbox_full_total"),
            account_storage_full=metrics.counter("notifyx_account_storage_full_total"),
            batch_size=metrics.histogram("notifyx_publish_batch_size"),
            commit_seconds=metrics.histogram("notifyx_publish_commit_seconds"),
            feed_connections=metrics.gauge("notifyx_feed_connections"),
            feed_lag=metrics.gauge("notifyx_feed_lag_seconds"),
        )
