"""Days of synthetic load for the planner, and a simulated platform that follows its decisions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from notifyx_operator.scaling.replica_plan import Bounds, Load, PlannerState, ReplicaPlan, SharedLoad, plan_replicas

INTERVAL = 30.0
DAY = 86_400.0
CAPACITY = 20_000.0

Curve = Callable[[float], float]
"""Connections at so many seconds after midnight of the first day."""


def daily(seed: int = 1) -> Curve:
    """Quiet nights, busy days, and a little noise."""
    noise = random.Random(seed)
    return lambda at: (130_000 - 110_000 * math.cos(math.tau * at / DAY)) * noise.uniform(0.98, 1.02)


def spike(at: float, seconds: float = 1200) -> Curve:
    """Five times the usual load, from one moment to the next."""
    return lambda now: 250_000.0 if at <= now < at + seconds else 50_000.0


def leak(seconds: float) -> Curve:
    """Clients that never leave."""
    return lambda at: 30_000 + 300_000 * at / seconds


def flapping(period: float, low: float, high: float) -> Curve:
    """All come, all go."""
    return lambda at: high if at % period < period / 2 else low


@dataclass(frozen=True)
class Moment:
    """The state at ``at`` seconds: ``least`` replicas were needed for the load, ``replicas`` existed."""

    at: float
    load: float
    least: int
    replicas: int
    plan: ReplicaPlan


def simulate(
    curve: Curve,
    seconds: float,
    bounds: Bounds,
    *,
    declared: float = 0.0,
    known: Callable[[float], bool] = lambda at: True,
    start: int = 2,
    restarts: Callable[[float], bool] = lambda at: False,
) -> list[Moment]:
    """Simulate the platform, with one decision in each interval.

    ``known``: whether Prometheus answers then; ``restarts``: whether the operator does.
    """
    moments: list[Moment] = []
    replicas, state = start, PlannerState()
    for step in range(int(seconds / INTERVAL)):
        at = step * INTERVAL
        load = curve(at)
        demand = SharedLoad("connections", declared, CAPACITY)
        observed = SharedLoad("connections", load, CAPACITY)
        seen = Load((demand,), (observed,)) if known(at) else Load((demand,), unknown="Prometheus is away")
        decided = plan_replicas(bounds, replicas, seen, PlannerState() if restarts(at) else state, at)
        state = decided.state
        least = min(bounds.maximum, max(bounds.minimum, math.ceil(max(load, declared) / CAPACITY)))
        replicas = decided.replicas
        moments.append(Moment(at, load, least, replicas, decided))
    return moments


def cost(moments: list[Moment]) -> float:
    """Return the ratio of existing to needed replicas over the whole time."""
    return sum(one.replicas for one in moments) / sum(one.least for one in moments)


def changes(moments: list[Moment]) -> int:
    """Return how often the number of replicas changed."""
    return sum(one.replicas != two.replicas for one, two in pairwise(moments))


def reversals(moments: list[Moment]) -> int:
    """Return how often the direction of changes reversed."""
    steps = [two.replicas - one.replicas for one, two in pairwise(moments)]
    signs = [step > 0 for step in steps if step]
    return sum(one != two for one, two in pairwise(signs))
