"""How many replicas a service should have, from what its topics declare and what is observed. Pure.

Up at once, down slowly: fewer replicas have to have been enough for the whole stabilisation window, as with a
HorizontalPodAutoscaler (https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/), and would
have to do with something to spare. What was decided before is a value that goes in and comes out: a planner that starts
anew holds what it finds for one window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

SPARE = 0.1
"""Share of its capacity that a replica has to have left before one of them is taken away."""

CALM = 0.5
"""Share of its limit that a strain has to be below before a replica is taken away."""

Cause = Literal[
    "Minimum", "Maximum", "Declared", "Observed", "Strained", "Steady", "Stabilizing", "Stepping", "MetricsMissing"
]


@dataclass(frozen=True, slots=True)
class Need:
    """Load that all replicas share; each carries ``capacity`` of it. ``what`` is its plural, in words."""

    what: str
    amount: float
    capacity: float

    def replicas(self, spare: float = 0.0) -> int:
        """How many carry it, with this share of each to spare."""
        # A hair less, so that a product of floats just above a whole number does not cost a replica.
        return math.ceil(self.amount / (self.capacity * (1 - spare)) - 1e-9)


@dataclass(frozen=True, slots=True)
class Strain:
    """What grows where replicas are too few, like a latency: it says that one more is needed, not how many are."""

    what: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Load:
    """What a service has to carry.

    ``unknown`` says, as a clause, why what was observed is not all there is: Prometheus is away, or sees a part. Then
    what is there is held, and what was seen all the same can only add to it.
    """

    declared: tuple[Need, ...] = ()
    observed: tuple[Need, ...] = ()
    strains: tuple[Strain, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a plan keeps to. ``window``: seconds that fewer replicas must do before there are fewer; ``step``: seconds
    between two replicas that go, 0 where they may go together; ``settle``: seconds until a new one has taken its share
    of a strain.
    """

    minimum: int
    maximum: int
    window: float
    step: float = 0.0
    settle: float = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What a plan has to know of those before it.

    ``needed``: for each number of replicas that was the most needed since, when that was last; the numbers descend.
    """

    needed: tuple[tuple[float, int], ...] = ()
    wanted: int = -1
    changed: float = -math.inf


@dataclass(frozen=True, slots=True)
class Plan:
    """``wanted`` replicas, why (a word for programs, a sentence for people), and what the next plan is to be given."""

    wanted: int
    cause: Cause
    reason: str
    memory: Memory


@dataclass(frozen=True, slots=True)
class _Claim:
    """A number of replicas that something asks for."""

    replicas: int
    cause: Cause
    reason: str


def plan(bounds: Bounds, current: int, load: Load, memory: Memory, now: float) -> Plan:
    """The replicas a service that has ``current`` should have. ``now``: monotonic seconds, as in ``memory``."""
    settled = now - memory.changed >= bounds.settle
    claim = _most(bounds, current, load, settled, spare=0.0)
    if claim.replicas < current:
        spared = _most(bounds, current, load, settled, spare=SPARE)
        claim = spared if spared.replicas < current else _steady(current)
    claim = _bounded(bounds, claim)
    if current > memory.wanted:
        # Somebody else's doing, or the first look: that many were needed for all that is known.
        memory = _remember(memory, current, now)
    memory = _remember(_forget(memory, now - bounds.window), claim.replicas, now)
    decided = _lowered(bounds, min(current, bounds.maximum), claim, memory, now)
    if decided.replicas == bounds.maximum < current:
        decided = _Claim(bounds.maximum, "Maximum", f"{bounds.maximum} is the maximum.")
    changed = now if decided.replicas != current else memory.changed
    return Plan(decided.replicas, decided.cause, decided.reason, Memory(memory.needed, decided.replicas, changed))


def _lowered(bounds: Bounds, current: int, claim: _Claim, memory: Memory, now: float) -> _Claim:
    """``claim``, or what is allowed of it where it is for fewer replicas than there are."""
    most = memory.needed[0][1]
    if claim.replicas >= current:
        return claim
    if most > claim.replicas:
        reason = f"{claim.reason} {most} were needed within the last {bounds.window:.0f} s."
        claim = _Claim(min(current, most), "Stabilizing", reason)
    if claim.replicas < current and bounds.step > 0:
        waits = now - memory.changed < bounds.step
        reason = f"{claim.reason} They go one at a time, every {bounds.step:.0f} s."
        return _Claim(current if waits else current - 1, "Stepping", reason)
    return claim


def _most(bounds: Bounds, current: int, load: Load, settled: bool, spare: float) -> _Claim:
    """The claim for the most replicas; of equal ones the first."""
    claims: list[_Claim] = []
    claims.append(_Claim(bounds.minimum, "Minimum", f"{bounds.minimum} is the minimum."))
    claims += _needed(load.declared, "Declared", "declared", 0.0)
    claims += _needed(load.observed, "Observed", "observed", spare)
    claims += [_strained(strain, current, settled) for strain in load.strains]
    if load.unknown:
        claims.append(_Claim(current, "MetricsMissing", f"{current} are held, as {load.unknown}."))
    return max(claims, key=lambda one: one.replicas)


def _needed(needs: Iterable[Need], cause: Cause, how: str, spare: float) -> list[_Claim]:
    return [
        _Claim(
            replicas, cause, f"{need.amount:,.0f} {need.what} {how} need {replicas} at {need.capacity:,.0f} a replica."
        )
        for need in needs
        if (replicas := need.replicas(spare)) > 0
    ]


def _strained(strain: Strain, current: int, settled: bool) -> _Claim:
    value = f"{strain.what} is {strain.value:.3g}"
    if strain.value > strain.limit and not settled:
        return _Claim(current, "Strained", f"{value}, above {strain.limit:g}: the last change has to show first.")
    if strain.value > strain.limit:
        return _Claim(current + 1, "Strained", f"{value}, above {strain.limit:g}: one more than {current}.")
    if strain.value > strain.limit * CALM:
        return _Claim(current, "Strained", f"{value}, not below {strain.limit * CALM:g}: {current} stay.")
    return _Claim(current - 1, "Steady", f"{value}, below {strain.limit * CALM:g}: one fewer may do.")


def _steady(current: int) -> _Claim:
    return _Claim(current, "Steady", f"{current} are enough, and fewer would have too little to spare.")


def _bounded(bounds: Bounds, claim: _Claim) -> _Claim:
    if claim.replicas > bounds.maximum:
        return _Claim(bounds.maximum, "Maximum", f"{claim.reason} {bounds.maximum} is the maximum.")
    return claim


def _forget(memory: Memory, before: float) -> Memory:
    return replace(memory, needed=tuple(one for one in memory.needed if one[0] > before))


def _remember(memory: Memory, replicas: int, now: float) -> Memory:
    """Only what is larger than everything after it can still be the largest of a window."""
    larger = tuple(one for one in memory.needed if one[1] > replicas)
    return replace(memory, needed=(*larger, (now, replicas)))
