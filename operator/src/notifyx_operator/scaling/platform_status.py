"""What a NotifyxPlatform's ``status`` says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifyx_operator.kube.conditions import Condition, find, merge
from notifyx_operator.kube.merge_patch import merge_patch
from notifyx_operator.scaling.bounds import Decision, Replicas

MISSING = "MetricsMissing"


@dataclass(frozen=True, slots=True)
class Looked:
    """One service as it was found, and what was decided; ``problem`` says why that could not be carried out.

    ``declared`` and ``observed`` are its load, by the names of the status' fields.
    """

    decision: Decision
    replicas: Replicas | None
    problem: str = ""
    declared: Mapping[str, float] = field(default_factory=dict)
    observed: Mapping[str, float] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether as many replicas are ready as there should be."""
        if self.replicas is None:
            return False
        wanted = self.decision.wanted if self.decision.wanted is not None else self.replicas.declared
        return self.replicas.ready >= wanted


@dataclass(frozen=True, slots=True)
class Told:
    """An Event: a reason, a message, and whether it warns."""

    reason: str
    message: str
    warning: bool = False


def platform_status(
    document: Mapping[str, Any],
    services: Mapping[str, Looked],
    *,
    invalid: str,
    unknown: str,
    delivery: Condition | None,
    moment: datetime,
) -> dict[str, Any]:
    """What of ``status`` to write, as a merge patch; empty where nothing changed.

    ``invalid`` is what is wrong with the resource, if anything is; ``unknown`` why not all of the load is seen,
    where it should be; ``delivery`` what the prober found, where there is one.
    """
    generation = int((document.get("metadata") or {}).get("generation", 0))
    before = document.get("status") or {}
    conditions = (
        [Condition("Ready", "False", "Invalid", invalid), Condition("ScalingActive", "False", "Invalid", invalid)]
        if invalid
        else [_ready(services), _scaling(services, unknown)]
    )
    conditions += [delivery] if delivery is not None else []
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": merge(before.get("conditions"), conditions, generation=generation, moment=moment),
    }
    if not invalid:
        status["services"] = {name: _service(looked) for name, looked in services.items()}
    return merge_patch({name: before[name] for name in status if name in before}, status)


def turned(document: Mapping[str, Any], patch: Mapping[str, Any]) -> list[Told]:
    """What there is to tell when metrics, or deliveries, went away or came back."""
    if "conditions" not in patch:
        return []

    def both(kind: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        return find((document.get("status") or {}).get("conditions"), kind), find(patch["conditions"], kind)

    found = []
    before, after = both("ScalingActive")
    if MISSING in (before.get("reason"), after.get("reason")) and before.get("reason") != after.get("reason"):
        lost = after.get("reason") == MISSING
        back = "The metrics are back: the load is observed again."
        found.append(Told(MISSING, str(after["message"]), warning=True) if lost else Told("MetricsBack", back))
    before, after = both("DeliveryVerified")
    if "False" in (before.get("status"), after.get("status")) and before.get("status") != after.get("status"):
        failed = after.get("status") == "False"
        reason = "DeliveryFailed" if failed else "DeliveryVerified"
        found.append(Told(reason, str(after.get("message", "")), warning=failed))
    return found


def _service(looked: Looked) -> dict[str, Any]:
    replicas, decision = looked.replicas, looked.decision
    declared = replicas.declared if replicas is not None else 0
    return {
        "wanted": decision.wanted if decision.wanted is not None else declared,
        "replicas": replicas.existing if replicas is not None else 0,
        "ready": replicas.ready if replicas is not None else 0,
        "cause": decision.cause,
        "reason": looked.problem or decision.reason,
        "declared": dict(looked.declared),
        "observed": dict(looked.observed),
    }


def _ready(services: Mapping[str, Looked]) -> Condition:
    waiting = sorted(name for name, looked in services.items() if not looked.settled)
    if waiting:
        return Condition("Ready", "False", "ReplicasNotReady", f"Not all replicas are ready: {', '.join(waiting)}.")
    return Condition("Ready", "True", "Ready", "Every service has the replicas it should have.")


def _scaling(services: Mapping[str, Looked], unknown: str) -> Condition:
    failed = sorted(name for name, looked in services.items() if looked.problem)
    if failed:
        return Condition("ScalingActive", "False", "ScalingFailed", services[failed[0]].problem)
    missing = sorted(name for name, looked in services.items() if looked.decision.cause == "NoDeployment")
    if missing:
        return Condition("ScalingActive", "False", "NoDeployment", services[missing[0]].decision.reason)
    aside = sorted(name for name, looked in services.items() if looked.decision.cause == "Autoscaled")
    if aside:
        return Condition("ScalingActive", "False", "Autoscaled", f"Scaled by others: {', '.join(aside)}.")
    if unknown:
        return Condition("ScalingActive", "False", MISSING, f"No replica is taken away: {unknown}.")
    return Condition("ScalingActive", "True", "WithinBounds", "The operator scales every service within its bounds.")
