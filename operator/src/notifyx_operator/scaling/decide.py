"""From a service's bounds, the declared demand and what was observed to its number of replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from notifyx_operator.scaling.bounds import Capacity, Decision, Replicas, ServiceSpec
from notifyx_operator.scaling.observations import Observed
from notifyx_operator.scaling.planner import Bounds, Load, Memory, Need, Plan, Strain, plan
from notifyx_operator.topics.demand import Demand

MOST_CONNECTIONS = 0.8
"""Share of a service's database connections that may be in use; above it, requests wait for one."""


def decide(
    service: str,
    spec: ServiceSpec,
    now: Replicas | None,
    *,
    autoscaler: str | None,
    declared: Demand | None,
    observed: Observed,
    unknown: str,
    memory: Memory,
    step: float,
    moment: float,
) -> tuple[Decision, Memory]:
    """What to make of a Deployment, and what to remember of it. ``autoscaler`` names who else scales it.

    ``unknown`` says why ``observed`` is not all there is; ``step`` are the seconds between two replicas that go, 0
    where they may go together; ``moment`` is in monotonic seconds.
    """
    if now is None:
        return Decision(None, "NoDeployment", f"There is no Deployment {spec.deployment}."), Memory()
    if autoscaler is not None:
        reason = f"The HorizontalPodAutoscaler {autoscaler} scales it; the operator stands aside."
        return Decision(None, "Autoscaled", reason), Memory()
    bounds = Bounds(spec.minimum, spec.maximum, window=spec.stabilization_seconds, step=step)
    if declared is None:
        unknown = unknown or "the topics have not been read yet"
    load = load_of(service, spec, declared or Demand(), observed, unknown)
    planned = plan(bounds, now.declared, load, memory, moment)
    return Decision(planned.wanted, planned.cause, _from(now.declared, planned)), planned.memory


def load_of(service: str, spec: ServiceSpec, declared: Demand, observed: Observed, unknown: str) -> Load:
    """What ``service`` has to carry, measured by what its replicas can."""
    return Load(
        needs(declared, spec.capacity),
        () if observed.problem else needs(observed.load, spec.capacity),
        tuple(_strains(service, spec, observed)),
        unknown,
    )


def _strains(service: str, spec: ServiceSpec, observed: Observed) -> Iterator[Strain]:
    limit = spec.maximum_latency_milliseconds
    if limit is None:
        return
    if service in observed.latency:
        yield Strain(f"The p99 of the {service}'s answers in ms", observed.latency[service] * 1000, limit)
    if service in observed.databases:
        what = f"The share of the {service}'s database connections in use in %"
        yield Strain(what, observed.databases[service] * 100, MOST_CONNECTIONS * 100)


def shown(
    service: str, spec: ServiceSpec, declared: Demand | None, observed: Observed
) -> tuple[dict[str, float], dict[str, float]]:
    """The load that counts for ``service``, by the names of the status' fields: as declared, and as observed."""

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
    """To three digits: more would only make for more writes. Whole where that is whole."""
    value = float(f"{amount:.3g}")
    return int(value) if value.is_integer() else value


def needs(demand: Demand, capacity: Capacity) -> tuple[Need, ...]:
    """The parts of ``demand`` for which a replica's capacity is known."""
    parts = (
        ("connections", demand.connections, capacity.connections),
        ("publishes a second", demand.publishes_per_second, capacity.publishes_per_second),
        ("emails a minute", demand.emails_per_minute, capacity.emails_per_minute),
    )
    return tuple(Need(what, amount, each) for what, amount, each in parts if each is not None)


def _from(current: int, planned: Plan) -> str:
    if planned.wanted == current:
        return planned.reason
    return f"{'Raised' if planned.wanted > current else 'Lowered'} from {current} to {planned.wanted}. {planned.reason}"
