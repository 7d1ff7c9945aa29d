"""What a NotifyxPlatform's ``status`` says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifyx_operator.bounds import Decision, Replicas
from notifyx_operator.conditions import Condition, merge


@dataclass(frozen=True, slots=True)
class Looked:
    """One service as it was found, and what was decided; ``problem`` says why that could not be carried out."""

    decision: Decision
    replicas: Replicas | None
    problem: str = ""

    @property
    def settled(self) -> bool:
        """Whether as many replicas are ready as there should be."""
        if self.replicas is None:
            return False
        wanted = self.decision.wanted if self.decision.wanted is not None else self.replicas.declared
        return self.replicas.ready >= wanted


def platform_status(
    document: Mapping[str, Any], services: Mapping[str, Looked], *, invalid: str, moment: datetime
) -> dict[str, Any]:
    """The fields of ``status`` to write; ``invalid`` is what is wrong with the resource, if anything is."""
    generation = int((document.get("metadata") or {}).get("generation", 0))
    before = document.get("status") or {}
    conditions = (
        [Condition("Ready", "False", "Invalid", invalid), Condition("ScalingActive", "False", "Invalid", invalid)]
        if invalid
        else [_ready(services), _scaling(services)]
    )
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": merge(before.get("conditions"), conditions, generation=generation, moment=moment),
    }
    if not invalid:
        # A merge patch keeps what it does not name: a service that was taken out has to be named.
        gone = dict.fromkeys((before.get("services") or {}).keys() - services.keys())
        status["services"] = {**gone, **{name: _service(looked) for name, looked in services.items()}}
    return status


def _service(looked: Looked) -> dict[str, Any]:
    replicas, decision = looked.replicas, looked.decision
    declared = replicas.declared if replicas is not None else 0
    return {
        "wanted": decision.wanted if decision.wanted is not None else declared,
        "replicas": replicas.existing if replicas is not None else 0,
        "ready": replicas.ready if replicas is not None else 0,
        "reason": looked.problem or decision.reason,
    }


def _ready(services: Mapping[str, Looked]) -> Condition:
    waiting = sorted(name for name, looked in services.items() if not looked.settled)
    if waiting:
        return Condition("Ready", "False", "ReplicasNotReady", f"Not all replicas are ready: {', '.join(waiting)}.")
    return Condition("Ready", "True", "Ready", "Every service has the replicas it should have.")


def _scaling(services: Mapping[str, Looked]) -> Condition:
    failed = sorted(name for name, looked in services.items() if looked.problem)
    if failed:
        return Condition("ScalingActive", "False", "ScalingFailed", services[failed[0]].problem)
    missing = sorted(name for name, looked in services.items() if looked.decision.cause == "NoDeployment")
    if missing:
        return Condition("ScalingActive", "False", "NoDeployment", services[missing[0]].decision.reason)
    aside = sorted(name for name, looked in services.items() if looked.decision.cause == "Autoscaled")
    if aside:
        return Condition("ScalingActive", "False", "Autoscaled", f"Scaled by others: {', '.join(aside)}.")
    return Condition("ScalingActive", "True", "WithinBounds", "The operator keeps every service within its bounds.")
