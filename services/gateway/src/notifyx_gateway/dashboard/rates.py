"""What counters and histograms say between two moments.

A counter that is lower than before belongs to a process that was started anew: it counts from zero. A node of which
there is no earlier reading adds nothing: when it counted what it holds is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from notifyx_gateway.dashboard.readings import Labels, Readings, matching

Nodes = Mapping[str, Readings]
"""The readings of every node that answered, by node."""


def increase(before: Nodes, after: Nodes, name: str, **labels: str) -> float:
    """By how much the counter ``name`` rose, over all nodes and all label values that carry ``labels``."""
    return sum(by_labels(before, after, name, **labels).values())


def by_labels(before: Nodes, after: Nodes, name: str, **labels: str) -> dict[Labels, float]:
    """The same, by labels."""
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
    """The value below which ``share`` (0 to 1) of the observations lie; ``None`` when there are none.

    ``buckets`` are cumulative counts by upper bound. Within a bucket the observations are taken to lie evenly, as
    Prometheus does; above the highest finite bound, its value is all that is known.
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


def buckets(before: Nodes, after: Nodes, name: str) -> dict[float, float]:
    """The observations of a histogram between two moments, cumulative by upper bound, over all nodes."""
    found: dict[float, float] = {}
    for key, value in by_labels(before, after, f"{name}_bucket").items():
        bound = float(dict(key)["le"])
        found[bound] = found.get(bound, 0.0) + value
    return found


def total(nodes: Nodes, name: str, **labels: str) -> float:
    """A gauge, added up over all nodes."""
    return sum(value for readings in nodes.values() for _, value in matching(readings, name, **labels))


def highest(nodes: Nodes, name: str, **labels: str) -> float | None:
    """A gauge of which every node says the same thing, such as the state of a database; the highest counts."""
    return max((value for readings in nodes.values() for _, value in matching(readings, name, **labels)), default=None)
