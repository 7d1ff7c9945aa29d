"""Pauses after failures and between rounds of periodic work, with jitter. Pure.

All jitter of the services comes from here; the random number is passed in (:data:`Uniform`).

Why no library: ``tenacity`` and ``stamina`` wrap one call and repeat it until it succeeds. The loops here never end:
they count failures over many calls, start again at the shortest pause after a success, and can be woken during a
pause. Only this formula would be used of a library.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Uniform = Callable[[float, float], float]
"""A random number between two others."""

Jitter = tuple[float, float]
"""Range of the random factor that a pause is multiplied by."""

HALF: Jitter = (0.5, 1.0)
AROUND: Jitter = (0.8, 1.2)

_MAX_DOUBLINGS = 60
"""Far above any ``maximum``; a larger exponent would overflow a float one day."""


def between(low: float, high: float, uniform: Uniform = random.uniform) -> float:
    """Return a random number between ``low`` and ``high``: jitter, never a secret."""
    return uniform(low, high)


def jittered(seconds: float, jitter: Jitter = AROUND, uniform: Uniform = random.uniform) -> float:
    """Return ``seconds`` times a random factor, so that replicas do not act in step."""
    return seconds * uniform(*jitter)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds that grow from ``first`` by ``factor`` with each failure in a row, up to ``maximum``.

    The caller counts the failures, and resets by counting from 0 again.
    """

    first: float
    maximum: float
    factor: float = 2.0
    jitter: Jitter = HALF
    uniform: Uniform = random.uniform

    def ceiling(self, failures: int) -> float:
        """Return the pause after ``failures`` failures in a row (at least 1), before jitter."""
        return min(self.maximum, self.first * self.factor ** min(max(0, failures - 1), _MAX_DOUBLINGS))

    def after(self, failures: int) -> float:
        """Return the pause after ``failures`` failures in a row, with jitter."""
        return self.ceiling(failures) * self.uniform(*self.jitter)
