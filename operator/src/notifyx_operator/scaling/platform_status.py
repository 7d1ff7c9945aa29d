"""Builds the ``status`` of a NotifyxPlatform. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifyx_operator.kube.conditions import Condition, find, merge
from notifyx_operator.kube.merge_patch import merge_patch
from notifyx_operator.scaling.bounds import Decision, Replicas
from notifyx_operator.scaling.replica_plan import PlannerState

METRICS_MISSING = "MetricsMissing"

NO_SERVICES = "spec.services names no service, so the operator scales none: name gateway, auth, store or mailer."


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The replicas of one service and what was decided; ``problem`` says why the decision could not be applied.

    ``declared`` and ``observed`` are its load, by the field names of the status. ``held`` is what the planner holds.
    """

    decision: Decision
    replicas: Replicas | None
    problem: str = ""
    declared: Mapping[str, float] = field(default_factory=dict)
    observed: Mapping[str, float] = field(default_factory=dict)
    held: int = -1

    @property
    def settled(self) -> bool:
        """Whether at least the desired number of replicas is ready."""
        if self.replicas is None:
            return False
        wanted = self.decision.replicas if self.decision.replicas is not None else self.replicas.declared
        return self.replicas.ready >= wanted


@dataclass(frozen=True, slots=True)
class PlatformEvent:
    """An Event: a reason, a message, and whether it warns."""

    reason: str
    message: str
    warning: bool = False


def platform_status(
    document: Mapping[str, Any],
    services: Mapping[str, ServiceState],
    *,
    invalid: str,
    unknown: str,
    delivery: Condition | None,
    topics: Condition | None = None,
    moment: datetime,
) -> dict[str, Any]:
    """Return the changes of ``status`` as a merge patch; empty if nothing changed.

    ``invalid``: why the resource is invalid, or empty. ``unknown``: why the observed load is incomplete although it
    should not be, or empty. ``delivery``: the prober's condition, if there is a prober. ``topics``: that of the
    operator's precedence among others.
    """
    generation = int((document.get("metadata") or {}).get("generation", 0))
    before = document.get("status") or {}
    conditions = (
        [Condition("Ready", "False", "Invalid", invalid), Condition("ScalingActive", "False", "Invalid", invalid)]
        if invalid
        else [_ready(services), _scaling(services, unknown)]
    )
    conditions += [one for one in (topics, delivery) if one is not None]
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": merge(before.get("conditions"), conditions, generation=generation, moment=moment),
    }
    if not invalid:
        status["services"] = {name: _service(service) for name, service in services.items()}
    return merge_patch({name: before[name] for name in status if name in before}, status)


def state_changes(document: Mapping[str, Any], patch: Mapping[str, Any]) -> list[PlatformEvent]:
    """Return the Events for metrics, deliveries or another operator, as they fail or recover with ``patch``."""
    if "conditions" not in patch:
        return []

    def before_and_after(kind: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        return find((document.get("status") or {}).get("conditions"), kind), find(patch["conditions"], kind)

    events = []
    before, after = before_and_after("ScalingActive")
    if METRICS_MISSING in (before.get("reason"), after.get("reason")) and before.get("reason") != after.get("reason"):
        if after.get("reason") == METRICS_MISSING:
            events.append(PlatformEvent(METRICS_MISSING, str(after["message"]), warning=True))
        else:
            events.append(PlatformEvent("MetricsBack", "The metrics are back: the load is observed again."))
    before, after = before_and_after("DeliveryVerified")
    if "False" in (before.get("status"), after.get("status")) and before.get("status") != after.get("status"):
        failed = after.get("status") == "False"
        reason = "DeliveryFailed" if failed else "DeliveryVerified"
        events.append(PlatformEvent(reason, str(after.get("message", "")), warning=failed))
    before, after = before_and_after("TopicsManaged")
    if "False" in (before.get("status"), after.get("status")) and before.get("reason") != after.get("reason"):
        warning = after.get("status") == "False"
        events.append(PlatformEvent(str(after.get("reason", "")), str(after.get("message", "")), warning=warning))
    return events


def initial_state(status: Mapping[str, Any], now: Replicas | None) -> PlannerState:
    """Return the state with which a new process begins, from a service's part of the status.

    The replicas that an earlier process held are known as long as nobody else has scaled the service.
    """
    held = status.get("held")
    if now is None or not isinstance(held, int) or status.get("wanted") != now.declared:
        return PlannerState()
    return PlannerState(held=held)


def _service(service: ServiceState) -> dict[str, Any]:
    replicas, decision = service.replicas, service.decision
    declared = replicas.declared if replicas is not None else 0
    return ({"held": service.held} if service.held >= 0 else {}) | {
        "wanted": decision.replicas if decision.replicas is not None else declared,
        "replicas": replicas.existing if replicas is not None else 0,
        "ready": replicas.ready if replicas is not None else 0,
        "cause": decision.cause,
        "reason": service.problem or decision.reason,
        "declared": dict(service.declared),
        "observed": dict(service.observed),
    }


def _ready(services: Mapping[str, ServiceState]) -> Condition:
    if not services:
        return Condition("Ready", "Unknown", "NoServices", NO_SERVICES)
    waiting = sorted(name for name, service in services.items() if not service.settled)
    if waiting:
        return Condition("Ready", "False", "ReplicasNotReady", f"Not all replicas are ready: {', '.join(waiting)}.")
    return Condition("Ready", "True", "Ready", "Every service has the replicas it should have.")


def _scaling(services: Mapping[str, ServiceState], unknown: str) -> Condition:
    if not services:
        return Condition("ScalingActive", "False", "NoServices", NO_SERVICES)
    failed = sorted(name for name, service in services.items() if service.problem)
    if failed:
        return Condition("ScalingActive", "False", "ScalingFailed", services[failed[0]].problem)
    missing = sorted(name for name, service in services.items() if service.decision.cause == "NoDeployment")
    if missing:
        return Condition("ScalingActive", "False", "NoDeployment", services[missing[0]].decision.reason)
    aside = sorted(name for name, service in services.items() if service.decision.cause == "Autoscaled")
    if aside:
        return Condition("ScalingActive", "False", "Autoscaled", f"Scaled by others: {', '.join(aside)}.")
    if unknown:
        return Condition("ScalingActive", "False", METRICS_MISSING, f"No replica is taken away: {unknown}.")
    return Condition("ScalingActive", "True", "WithinBounds", "The operator scales every service within its bounds.")
