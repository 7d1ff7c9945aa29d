"""Decides a service's replicas from its bounds, the declared demand and the observed load. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from notifyx_operator.scaling.bounds import Capacity, Decision, Replicas, ServiceSpec
from notifyx_operator.scaling.observations import Observed
from notifyx_operator.scaling.replica_plan import (
    Bounds,
    Load,
    PlannerState,
    ReplicaPlan,
    SharedLoad,
    Strain,
    plan_replicas,
)
from notifyx_operator.topics.demand import Demand

MAX_CONNECTION_SHARE = 0.8
"""Maximum share of a service's database connections in use. Above it, requests wait for a connection."""


def decide(
    service: str,
    spec: ServiceSpec,
    now: Replicas | None,
    *,
    autoscaler: str | None,
    declared: Demand | None,
    observed: Observed,
    unknown: str,
    state: PlannerState,
    step: float,
    moment: float,
) -> tuple[Decision, PlannerState]:
    """Decide the replicas of a Deployment; also return the planner's next state.

    ``now``: its replicas, ``None`` if there is no Deployment. ``autoscaler``: the name of an autoscaler that scales it.
    ``unknown``: why ``observed`` is incomplete. ``step``: seconds between two removals, 0 to remove several at once.
    ``moment``: monotonic seconds.
    """
    if now is None:
        return Decision(None, "NoDeployment", f"There is no Deployment {spec.deployment}."), PlannerState()
    if autoscaler is not None:
        reason = f"The HorizontalPodAutoscaler {autoscaler} scales it; the operator stands aside."
        return Decision(None, "Autoscaled", reason), PlannerState()
    bounds = Bounds(spec.minimum, spec.maximum, window=spec.stabilization_seconds, step=step)
    if declared is None:
        unknown = unknown or "the topics have not been read yet"
    load = load_of(service, spec, declared or Demand(), observed, unknown)
    if declared is None:
        load = replace(load, observable=True)  # hold the number for a moment, whatever it is made of
    planned = plan_replicas(bounds, now.declared, load, state, moment)
    return Decision(planned.replicas, planned.cause, _reason(now.declared, planned)), planned.state


def load_of(service: str, spec: ServiceSpec, declared: Demand, observed: Observed, unknown: str) -> Load:
    """Return the load of ``service``, in units of which a replica's capacity is known."""
    return Load(
        shared_loads(declared, spec.capacity),
        () if observed.problem else shared_loads(observed.load, spec.capacity),
        tuple(_strains(service, spec, observed)),
        unknown,
        observed.possible,
    )


def _strains(service: str, spec: ServiceSpec, observed: Observed) -> Iterator[Strain]:
    limit = spec.maximum_latency_milliseconds
    if limit is None:
        return
    if service in observed.latency:
        yield Strain(f"The p99 of the {service}'s answers in ms", observed.latency[service] * 1000, limit)
    if service in observed.databases:
        what = f"The share of the {service}'s database connections in use in %"
        yield Strain(what, observed.databases[service] * 100, MAX_CONNECTION_SHARE * 100)


def status_load(
    service: str, spec: ServiceSpec, declared: Demand | None, observed: Observed
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the load that counts for ``service``, declared and observed, by the field names of the status."""

    def fields(demand: Demand) -> dict[str, float]:
        capacity = spec.capacity
        parts = (
            ("connections", demand.connections, capacity.connections),
            ("publishesPerSecond", demand.publishes_per_second, capacity.publishes_per_second),
            ("emailsPerMinute", demand.emails_per_minute, capacity.emails_per_minute),
        )
        return {name: _rounded(amount) for name, amount, each in parts if each is not None}

    seen = {} if observed.problem else fields(observed.load)
    if spec.maximum_latency_milliseconds is not None and service in observed.latency:
        seen["latencyMilliseconds"] = _rounded(observed.latency[service] * 1000)
    return {} if declared is None else fields(declared), seen


def _rounded(amount: float) -> float:
    """Round to three digits, to limit status writes; return an integer if the result is whole."""
    value = float(f"{amount:.3g}")
    return int(value) if value.is_integer() else value


def shared_loads(demand: Demand, capacity: Capacity) -> tuple[SharedLoad, ...]:
    """Return the parts of ``demand`` for which a replica's capacity is known."""
    parts = (
        ("connections", demand.connections, capacity.connections),
        ("publishes a second", demand.publishes_per_second, capacity.publishes_per_second),
        ("emails a minute", demand.emails_per_minute, capacity.emails_per_minute),
    )
    return tuple(SharedLoad(what, amount, each) for what, amount, each in parts if each is not None)


def _reason(current: int, planned: ReplicaPlan) -> str:
    if planned.replicas == current:
        return planned.reason
    verb = "Raised" if planned.replicas > current else "Lowered"
    return f"{verb} from {current} to {planned.replicas}. {planned.reason}"
