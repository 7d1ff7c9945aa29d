"""How long to wait before trying again: full jitter, bounded. Pure but for the random number, which is passed in.

After a restart of a gateway all its clients come back at the same time; spreading each wait over the whole of its
range, instead of adding a little noise to it, keeps them from doing so in step.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Uniform = Callable[[float, float], float]
"""A random number between two others."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: the n-th is between 0 and the smaller of ``first * 2**n`` and ``longest``."""

    first: float = 0.2
    longest: float = 10.0

    def ceiling(self, failures: int) -> float:
        """The longest wait after ``failures`` failures in a row (at least 1)."""
        # Beyond 2**30 the exponent alone would overflow a float one day.
        return min(self.longest, self.first * 2.0 ** min(max(0, failures - 1), 30))

    def wait(self, failures: int, *, at_least: float = 0.0, uniform: Uniform = random.uniform) -> float:
        """A wait after ``failures`` failures in a row; ``at_least`` is what the server asked for (``Retry-After``)."""
        # Everybody was told the same time: spread what follows it as well.
        return min(max(0.0, at_least), self.longest * 6) + uniform(0.0, self.ceiling(failures))
