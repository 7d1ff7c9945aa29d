"""Makes a failing history shorter: fewer steps, as long as it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulation.plan import Plan

Fails = Callable[[Plan], bool]


def kept(plan: Plan, positions: list[int]) -> Plan:
    """Return ``plan`` with those of its steps only."""
    return replace(plan, steps=tuple(plan.steps[at] for at in positions))


def shortest(plan: Plan, fails: Fails, tries: int = 200) -> list[int]:
    """Return the positions of the steps without which ``plan`` does not fail any more (delta debugging)."""
    positions = list(range(len(plan.steps)))
    size = max(1, len(positions) // 2)
    while tries > 0:
        start = 0
        while start < len(positions) and tries > 0:
            rest = positions[:start] + positions[start + size :]
            tries -= 1
            if fails(kept(plan, rest)):
                positions = rest
            else:
                start += size
        if size == 1:
            break
        size = max(1, size // 2)
    return positions
