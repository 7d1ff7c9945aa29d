"""Rates and quantiles from the counters and histograms of two readings. Pure.

A counter that is lower than before belongs to a restarted process: it counts from zero. A node without an earlier
reading adds nothing, because nobody knows when its counts happened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from notifyx_gateway.dashboard.readings import Labels, Readings, matching

NodeReadings = Mapping[str, Readings]
"""The readings of every node that answered, by node."""


def increase(before: NodeReadings, after: NodeReadings, name: str, **labels: str) -> float:
    """Return the increase of the counter ``name``, summed over all nodes and all series that carry ``labels``."""
    return sum(by_labels(before, after, name, **labels).values())


def by_labels(before: NodeReadings, after: NodeReadings, name: str, **labels: str) -> dict[Labels, float]:
    """Return the increase of the counter ``name`` by the labels of its series, summed over all nodes."""
    risen: dict[Labels, float] = {}
    for node, readings in after.items():
        earlier = before.get(node)
        if earlier is None:
            continue
        for own, value in matching(readings, name, **labels):
            key = tuple(sorted(own.items()))
            was = earlier.get((name, key), 0.0)
            risen[key] = risen.get(key, 0.0) + (value - was if value >= was else value)
    return risen


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return the value below which ``share`` (0 to 1) of the observations lie; ``None`` without observations.

    ``buckets`` are cumulative counts by upper bound. Observations count as evenly spread within a bucket, as in
    Prometheus; above the highest finite bound, that bound is returned.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= wanted and count > below:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * max(0.0, wanted - below) / (count - below)
        below, lower = max(below, count), lower if math.isinf(bound) else bound
    return lower


def buckets(before: NodeReadings, after: NodeReadings, name: str) -> dict[float, float]:
    """Return a histogram's observations between two readings, cumulative by upper bound, summed over all nodes."""
    found: dict[float, float] = {}
    for key, value in by_labels(before, after, f"{name}_bucket").items():
        bound = float(dict(key)["le"])
        found[bound] = found.get(bound, 0.0) + value
    return found


def total(nodes: NodeReadings, name: str, **labels: str) -> float:
    """Return the sum of a gauge over all nodes."""
    return sum(value for readings in nodes.values() for _, value in matching(readings, name, **labels))


def highest(nodes: NodeReadings, name: str, **labels: str) -> float | None:
    """Return the highest value of a gauge that all nodes report alike, such as the state of a database."""
    return max((value for readings in nodes.values() for _, value in matching(readings, name, **labels)), default=None)
