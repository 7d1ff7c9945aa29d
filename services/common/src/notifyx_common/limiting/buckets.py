"""Token buckets that limit how often one key (an address, a user) may act. Pure.

The state of a bucket is one moment: when it is full again. It is stored in a table in this process
(:class:`RateLimit`) or shared by all replicas (:mod:`notifyx_common.limiting.limiter`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

_ROUNDING = 1e-6
"""Seconds; a shorter wait counts as none."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The limit: ``burst`` actions at once, and one more every ``interval`` seconds."""

    burst: int
    interval: float

    @property
    def window(self) -> float:
        """Seconds in which an empty bucket fills."""
        return self.burst * self.interval

    def wait(self, full_at: float, now: float) -> float:
        """Return the seconds until one more action is allowed; 0 if it is allowed now."""
        # A rounding error must not cost the last action of a burst.
        return self.debt(self.after(full_at, now), now)

    def after(self, full_at: float, now: float, actions: int = 1) -> float:
        """Return when the bucket is full again after one more action at ``now``, or ``actions`` of them."""
        # A replica whose clock is ahead must not make a bucket take longer to fill than an empty one.
        return min(max(full_at, now), now + self.window) + actions * self.interval

    def debt(self, full_at: float, now: float) -> float:
        """Return the seconds until the actions counted so far are allowed; 0 if they are.

        For who is slowed down rather than rejected: it acts first and then waits.
        """
        debt = full_at - now - self.window
        return debt if debt > _ROUNDING else 0.0

    def remaining(self, full_at: float, now: float) -> int:
        """Return how many actions are allowed at ``now``."""
        return max(0, int((now + self.window - max(full_at, now) + _ROUNDING) / self.interval))

    def state(self, full_at: float, now: float, wait: float = 0.0) -> LimitState:
        """Return the state of the bucket at ``now``, for an action that has to wait ``wait`` seconds."""
        remaining = self.remaining(full_at, now)
        more = full_at + (remaining + 1) * self.interval - self.window - now
        return LimitState(wait, remaining, 0.0 if remaining >= self.burst else max(0.0, more))


@dataclass(frozen=True, slots=True)
class LimitState:
    """What a limit answered about one action: the ``wait`` until it is allowed (0: it was counted), how many more are
    allowed at once, and the seconds until there is one more of those.
    """

    wait: float
    remaining: int
    reset: float


class RateLimit:
    """The buckets of one process, by key.

    The table stores the ``max_keys`` most recently used, which bounds its memory.
    """

    def __init__(self, burst: int, interval: float, max_keys: int = 10_000) -> None:
        self.bucket = Bucket(burst, interval)
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._max_keys = max_keys

    def wait(self, key: str, now: float) -> float:
        """Return the seconds until ``key`` may act; 0 if it may act now. Counts nothing."""
        return self.bucket.wait(self._full_at.get(key, now), now)

    def state(self, key: str, now: float, wait: float = 0.0) -> LimitState:
        """Return the state of the bucket of ``key`` at ``now``."""
        return self.bucket.state(self._full_at.get(key, now), now, wait)

    def try_acquire(self, key: str, now: float) -> bool:
        """Count one action of ``key`` at ``now`` (monotonic seconds) if it is allowed; return whether it is."""
        if self.wait(key, now):
            return False
        self._full_at[key] = self.bucket.after(self._full_at.get(key, now), now)
        self._full_at.move_to_end(key)
        while len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)
        return True
