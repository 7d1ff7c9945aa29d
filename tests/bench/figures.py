"""What is measured, as values: a figure of a case, and the readings of several rounds put together. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

OWN, BEFORE = "Notifyx", "before"
"""The platform of this checkout, and that of another one."""

WORSE = 0.05
"""The part by which a figure may be worse than before without a mark."""

Readings = Mapping[str, float]
"""The figures of one run, by key."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a case.

    ``target``: what the platform should reach; as a multiple of the figure of the peer ``of`` where that is named.
    ``drawn``: it is in the picture.
    """

    key: str
    title: str
    better: Literal["higher", "lower"]
    digits: int = 0
    target: float | None = None
    of: str = ""
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """The readings of a figure in all rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.values)

    def text(self, digits: int) -> str:
        """Return the median with the lowest and the highest."""
        shown = f"{self.median:,.{digits}f}"
        if len(self.values) == 1:
            return shown
        return f"{shown} ({min(self.values):,.{digits}f} to {max(self.values):,.{digits}f})"


def spread(rounds: Sequence[Mapping[str, Readings]], name: str, key: str) -> Spread | None:
    """Return the readings of ``key`` of the server called ``name``; ``None`` where it has none."""
    values = [found[name][key] for found in rounds if key in found.get(name, {})]
    return Spread(tuple(values)) if values else None


def ratio(rounds: Sequence[Mapping[str, Readings]], key: str, name: str, to: str) -> float | None:
    """Return the median of the ratios of ``name`` to ``to`` within each round."""
    ratios = [
        found[name][key] / found[to][key]
        for found in rounds
        if key in found.get(name, {}) and found.get(to, {}).get(key)
    ]
    return statistics.median(ratios) if ratios else None


def is_worse(figure: Figure, now_to_before: float) -> bool:
    """Whether a figure is worse than before by more than what is overlooked."""
    if figure.better == "higher":
        return now_to_before < 1 - WORSE
    return now_to_before > 1 + WORSE


def is_met(figure: Figure, rounds: Sequence[Mapping[str, Readings]]) -> bool | None:
    """Whether the platform reaches the target; ``None`` where there is none, or no peer to compare with."""
    if figure.target is None:
        return None
    found = spread(rounds, OWN, figure.key)
    reached = ratio(rounds, figure.key, OWN, figure.of) if figure.of else found.median if found else None
    if reached is None:
        return None
    return reached >= figure.target if figure.better == "higher" else reached <= figure.target
