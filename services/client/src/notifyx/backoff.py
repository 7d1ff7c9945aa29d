"""Backoff before another attempt: full jitter, bounded. Pure; the random numbers are passed in.

After a restart of a gateway all its clients reconnect at the same time. Each wait is drawn from its whole range, and
not only varied a little, so that the clients do not reconnect together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Uniform = Callable[[float, float], float]
"""Returns a random number between two bounds."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: the n-th is between 0 and the smaller of ``first * 2**n`` and ``maximum``."""

    first: float = 0.2
    maximum: float = 10.0

    def ceiling(self, failures: int) -> float:
        """Return the maximum wait after ``failures`` failures in a row (at least 1)."""
        # A large exponent would overflow a float.
        return min(self.maximum, self.first * 2.0 ** min(max(0, failures - 1), 30))

    def wait(self, failures: int, *, at_least: float = 0.0, uniform: Uniform = random.uniform) -> float:
        """Return a wait after ``failures`` failures in a row; ``at_least``: seconds of a ``Retry-After``."""
        # All clients get the same Retry-After: add jitter after it.
        return min(max(0.0, at_least), self.maximum * 6) + uniform(0.0, self.ceiling(failures))
