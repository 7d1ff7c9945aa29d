"""Decides how many replicas a service should have, from declared demand and observed load. Pure.

Scaling out is immediate, scaling in is slow: a smaller number must have been enough for the whole stabilization window,
as with a HorizontalPodAutoscaler
(https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/), and must leave headroom. Earlier
decisions are a value that is passed in and returned: a planner that restarts holds the current number for one window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

SCALE_IN_HEADROOM = 0.1
"""Share of its capacity that each remaining replica must have free before one replica is removed."""

STRAIN_RELEASE_SHARE = 0.5
"""A replica is removed only while each strain is below this share of its limit."""

Cause = Literal[
    "Minimum", "Maximum", "Declared", "Observed", "Strained", "Steady", "Stabilizing", "Stepping", "MetricsMissing"
]


@dataclass(frozen=True, slots=True)
class SharedLoad:
    """Load that is divided among all replicas; each carries ``capacity`` of it. ``what`` is its unit, in the plural."""

    what: str
    amount: float
    capacity: float

    def replicas(self, headroom: float = 0.0) -> int:
        """Return how many replicas carry the load while each keeps the share ``headroom`` of its capacity free."""
        # Subtract an epsilon, so that a rounding error just above a whole number does not add a replica.
        return math.ceil(self.amount / (self.capacity * (1 - headroom)) - 1e-9)


@dataclass(frozen=True, slots=True)
class Strain:
    """A value that grows when replicas are too few, like a latency. It shows that one more is needed, not how many."""

    what: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a service.

    ``unknown`` says, as a clause, why the observation is incomplete: Prometheus is away, or scrapes only some nodes.
    The current replicas are then held, and the observed part can only add to them. Where nothing is ever observed
    (``observable`` is false: there is no Prometheus), what declared demand adds goes when that demand falls.
    """

    declared: tuple[SharedLoad, ...] = ()
    observed: tuple[SharedLoad, ...] = ()
    strains: tuple[Strain, ...] = ()
    unknown: str = ""
    observable: bool = True


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a plan; times are in seconds.

    ``window``: how long a smaller number must have been enough before replicas are removed. ``step``: time between two
    removals, 0 to remove several at once. ``settle``: time until a new replica has reduced a strain.
    """

    minimum: int
    maximum: int
    window: float
    step: float = 0.0
    settle: float = 60.0


@dataclass(frozen=True, slots=True)
class PlannerState:
    """What the planner stores between two plans.

    ``needed``: pairs of time and replicas, the candidates for the maximum of the window; the numbers descend.
    ``replicas``: the last decision. ``changed``: when it last differed from the current number. ``held``: the replicas
    that stay without declared demand where nothing is observed, -1 while unknown.
    """

    needed: tuple[tuple[float, int], ...] = ()
    replicas: int = -1
    changed: float = -math.inf
    held: int = -1


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """A number of replicas, its cause (for programs) and reason (for people), and the planner's next state."""

    replicas: int
    cause: Cause
    reason: str
    state: PlannerState


@dataclass(frozen=True, slots=True)
class _Proposal:
    """A number of replicas that one cause requires."""

    replicas: int
    cause: Cause
    reason: str


def plan_replicas(bounds: Bounds, current: int, load: Load, state: PlannerState, now: float) -> ReplicaPlan:
    """Plan the replicas of a service that has ``current``. ``now``: monotonic seconds, as in ``state``."""
    settled = now - state.changed >= bounds.settle
    scaled = state.replicas not in (-1, current)
    if not load.observable and (scaled or state.held < 0):
        # Scaled by somebody else, or nothing is known of how it came to this number: it stays.
        state = replace(state, held=min(current, bounds.maximum))
    held = current if load.observable else state.held
    proposal = _highest(bounds, current, held, load, settled, headroom=0.0)
    if proposal.replicas < current:
        lowered = _highest(bounds, current, held, load, settled, headroom=SCALE_IN_HEADROOM)
        proposal = lowered if lowered.replicas < current else _steady(current)
    proposal = _bounded(bounds, proposal)
    if current > state.replicas:
        # Scaled by somebody else, or the first plan: assume that this many were needed.
        state = _record(state, current, now)
    state = _record(_drop_before(state, now - bounds.window), proposal.replicas, now)
    decided = _limit_scale_in(bounds, min(current, bounds.maximum), proposal, state, now)
    if decided.replicas == bounds.maximum < current:
        decided = _Proposal(bounds.maximum, "Maximum", f"{bounds.maximum} is the maximum.")
    changed = now if decided.replicas != current else state.changed
    state = PlannerState(state.needed, decided.replicas, changed, state.held)
    return ReplicaPlan(decided.replicas, decided.cause, decided.reason, state)


def _limit_scale_in(bounds: Bounds, current: int, proposal: _Proposal, state: PlannerState, now: float) -> _Proposal:
    """Return ``proposal``; if it is a scale-in, only as much of it as the window and the step permit."""
    highest = state.needed[0][1]
    if proposal.replicas >= current:
        return proposal
    if highest > proposal.replicas:
        reason = f"{proposal.reason} {highest} were needed within the last {bounds.window:.0f} s."
        proposal = _Proposal(min(current, highest), "Stabilizing", reason)
    if proposal.replicas < current and bounds.step > 0:
        waits = now - state.changed < bounds.step
        reason = f"{proposal.reason} They go one at a time, every {bounds.step:.0f} s."
        return _Proposal(current if waits else current - 1, "Stepping", reason)
    return proposal


def _highest(bounds: Bounds, current: int, held: int, load: Load, settled: bool, headroom: float) -> _Proposal:
    """Return the proposal for the highest number of replicas; of equal ones the first.

    ``held``: the replicas that stay where the observation is incomplete.
    """
    proposals: list[_Proposal] = []
    proposals.append(_Proposal(bounds.minimum, "Minimum", f"{bounds.minimum} is the minimum."))
    proposals += _needed(load.declared, "Declared", "declared", 0.0)
    proposals += _needed(load.observed, "Observed", "observed", headroom)
    proposals += [_strained(strain, current, settled) for strain in load.strains]
    if load.unknown:
        proposals.append(_Proposal(held, "MetricsMissing", f"{held} are held, as {load.unknown}."))
    return max(proposals, key=lambda one: one.replicas)


def _needed(needs: Iterable[SharedLoad], cause: Cause, how: str, headroom: float) -> list[_Proposal]:
    return [
        _Proposal(
            replicas, cause, f"{need.amount:,.0f} {need.what} {how} need {replicas} at {need.capacity:,.0f} a replica."
        )
        for need in needs
        if (replicas := need.replicas(headroom)) > 0
    ]


def _strained(strain: Strain, current: int, settled: bool) -> _Proposal:
    value = f"{strain.what} is {strain.value:.3g}"
    release = strain.limit * STRAIN_RELEASE_SHARE
    if strain.value > strain.limit and not settled:
        return _Proposal(current, "Strained", f"{value}, above {strain.limit:g}: the last change has to show first.")
    if strain.value > strain.limit:
        return _Proposal(current + 1, "Strained", f"{value}, above {strain.limit:g}: one more than {current}.")
    if strain.value > release:
        return _Proposal(
            current, "Strained", f"{value}, not below {strain.limit * STRAIN_RELEASE_SHARE:g}: {current} stay."
        )
    return _Proposal(
        current - 1, "Steady", f"{value}, below {strain.limit * STRAIN_RELEASE_SHARE:g}: one fewer may do."
    )


def _steady(current: int) -> _Proposal:
    return _Proposal(current, "Steady", f"{current} are enough, and fewer would have too little to spare.")


def _bounded(bounds: Bounds, proposal: _Proposal) -> _Proposal:
    if proposal.replicas > bounds.maximum:
        return _Proposal(bounds.maximum, "Maximum", f"{proposal.reason} {bounds.maximum} is the maximum.")
    return proposal


def _drop_before(state: PlannerState, before: float) -> PlannerState:
    return replace(state, needed=tuple(one for one in state.needed if one[0] > before))


def _record(state: PlannerState, replicas: int, now: float) -> PlannerState:
    """Add a number; drop those not larger: only a number larger than all later ones can be the maximum of a window."""
    larger = tuple(one for one in state.needed if one[1] > replicas)
    return replace(state, needed=(*larger, (now, replicas)))
