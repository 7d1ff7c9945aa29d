"""Kubernetes conditions, as its API conventions have them. Pure.

``lastTransitionTime`` moves only when ``status`` does, so that ``kubectl wait`` and alerts can trust it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from notifyx_common.clock import rfc3339

MAX_MESSAGE = 1024
"""Longest message that is written; a resource's status is no place for more."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as it is now; ``reason`` is a word for programs, ``message`` a sentence for people."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def merge(previous: object, now: Iterable[Condition], *, generation: int, moment: datetime) -> list[dict[str, Any]]:
    """The list to write: ``now``, with the times of ``previous`` wherever a status is what it was.

    ``previous`` is whatever the resource holds. Conditions of types that are not ours stay as they are.
    """
    before = {item["type"]: item for item in _conditions(previous)}
    merged: dict[str, dict[str, Any]] = {kind: dict(item) for kind, item in before.items()}
    for condition in now:
        old = before.get(condition.type, {})
        since = old.get("lastTransitionTime") if old.get("status") == condition.status else None
        merged[condition.type] = {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message[:MAX_MESSAGE],
            "lastTransitionTime": since or rfc3339(moment),
            "observedGeneration": generation,
        }
    return list(merged.values())


def find(conditions: object, kind: str) -> Mapping[str, Any]:
    """The condition of that type in what a resource holds; empty when it is not there."""
    return next((item for item in _conditions(conditions) if item["type"] == kind), {})


def _conditions(held: object) -> list[Mapping[str, Any]]:
    if not isinstance(held, list):
        return []
    return [item for item in held if isinstance(item, Mapping) and isinstance(item.get("type"), str)]
