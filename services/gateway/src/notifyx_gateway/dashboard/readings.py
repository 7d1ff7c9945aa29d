"""The metrics of one node at one moment, read from the Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = tuple[tuple[str, str], ...]
Readings: TypeAlias = Mapping[tuple[str, Labels], float]
"""Values by sample name and labels, sorted by label name."""

WANTED = (
    "notifyx_connections",
    "notifyx_published_total",
    "notifyx_deliveries_total",
    "notifyx_delivery_seconds_bucket",
    "notifyx_http_requests_total",
    "notifyx_cache_requests_total",
    "notifyx_mails_total",
    "notifyx_outbox_emails",
    "notifyx_outbox_oldest_seconds",
    "notifyx_ledger_imbalance",
    "notifyx_feed_lag_seconds",
)
"""What the page is made of; the rest of a node's metrics is not kept."""


def read(text: str) -> Readings:
    """The wanted samples of an exposition. Raises :class:`ValueError` for what is none."""
    lines = [line for line in text.splitlines() if line.startswith(WANTED) and line.partition(" ")[0]]
    kept: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            if sample.name in WANTED:
                kept[sample.name, tuple(sorted(sample.labels.items()))] = float(sample.value)
    return kept


def matching(readings: Readings, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
    """The samples of ``name`` that carry ``labels``: all of their labels, and the value."""
    for (found, pairs), value in readings.items():
        if found == name:
            own = dict(pairs)
            if all(own.get(key) == wanted for key, wanted in labels.items()):
                yield own, value
