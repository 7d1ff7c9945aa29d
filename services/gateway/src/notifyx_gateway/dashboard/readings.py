"""The metrics of one node at one moment, read from the Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = tuple[tuple[str, str], ...]
Readings: TypeAlias = Mapping[tuple[str, Labels], float]
"""Values by sample name and labels, sorted by label name."""

USED_METRICS = (
    "notifyx_connections",
    "notifyx_published_total",
    "notifyx_deliveries_total",
    "notifyx_delivery_seconds_bucket",
    "notifyx_http_requests_total",
    "notifyx_cache_requests_total",
    "notifyx_mails_total",
    "notifyx_mail_refusals_total",
    "notifyx_rate_limit_checks_total",
    "notifyx_refused_addresses",
    "notifyx_outbox_emails",
    "notifyx_outbox_oldest_seconds",
    "notifyx_ledger_imbalance",
    "notifyx_alarm",
    "notifyx_feed_lag_seconds",
)
"""Metrics that the page uses; others are not stored."""


def read(text: str) -> Readings:
    """Parse the used samples of an exposition. Raises :class:`ValueError` if it is malformed."""
    lines = [line for line in text.splitlines() if line.startswith(USED_METRICS) and line.partition(" ")[0]]
    samples: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            if sample.name in USED_METRICS:
                samples[sample.name, tuple(sorted(sample.labels.items()))] = float(sample.value)
    return samples


def matching(readings: Readings, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
    """Yield the samples of ``name`` that carry ``labels``: all of their labels, and the value."""
    for (found, pairs), value in readings.items():
        if found == name:
            own = dict(pairs)
            if all(own.get(key) == wanted for key, wanted in labels.items()):
                yield own, value
