"""Kubernetes conditions, after its API conventions. Pure.

``lastTransitionTime`` changes only when ``status`` does, so that ``kubectl wait`` and alerts can rely on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from notifyx_common.clock import rfc3339

MAX_MESSAGE = 1024
"""Maximum length of a message that is written to a status."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; ``reason`` is for programs, ``message`` is a sentence for people."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def merge(previous: object, now: Iterable[Condition], *, generation: int, moment: datetime) -> list[dict[str, Any]]:
    """Return the list to write: ``now``, with the times of ``previous`` where the status is unchanged.

    ``previous`` is the resource's list, unvalidated. Conditions of other types stay as they are. A condition without a
    generation is the definition's default, whose time means nothing.
    """
    before = {item["type"]: item for item in _conditions(previous)}
    merged: dict[str, dict[str, Any]] = {kind: dict(item) for kind, item in before.items()}
    for condition in now:
        old = before.get(condition.type, {})
        unchanged = old.get("status") == condition.status and "observedGeneration" in old
        since = old.get("lastTransitionTime") if unchanged else None
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
    """Return the condition of that type in a resource's list, unvalidated; empty if there is none."""
    return next((item for item in _conditions(conditions) if item["type"] == kind), {})


def _conditions(held: object) -> list[Mapping[str, Any]]:
    if not isinstance(held, list):
        return []
    return [item for item in held if isinstance(item, Mapping) and isinstance(item.get("type"), str)]
