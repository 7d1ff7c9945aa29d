"""One limit for all replicas: its buckets are in memcached, and in this process while memcached is unavailable.

This process's own buckets are checked first. They count a part of what all replicas count, so what they reject, all
would reject; what the shared count rejected is cached until its wait is over. So a flood of rejected requests does
not load memcached. Without memcached each replica limits by its own count; no request waits for an unreachable one.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from notifyx_common.clock import Clock
from notifyx_common.errors import Quota
from notifyx_common.limiting.buckets import Bucket, LimitState, RateLimit
from notifyx_common.limiting.turns import KeyedTurns
from notifyx_common.metrics import Metrics
from notifyx_common.running_timeout import RunningTimeout

MAX_OPERATIONS = 4
"""A request waits as long as this many operations of memcached may take, its turn included; then its own process's
count decides."""

MAX_REJECTED = 10_000
"""Maximum number of keys whose rejection is cached; beyond it the oldest is checked again."""


class SharedTable(Protocol):
    """A table that all replicas share and that may be unavailable: a ``Memcached``."""

    timeout: float

    async def update(self, key: bytes, change: Callable[[bytes | None], tuple[bytes, float] | None], /) -> bool:
        """Replace the value of ``key`` by the result of ``change``, atomically; return whether it succeeded."""
        ...


class RateLimiter:
    """The limit called ``name``: each key may act ``burst`` times at once, and once more every ``interval`` seconds."""

    def __init__(
        self,
        name: str,
        burst: int,
        interval: float,
        *,
        clock: Clock,
        metrics: Metrics,
        shared: SharedTable | None,
        timeout: float | None = None,
    ) -> None:
        self.quota = Quota(name, burst, burst * interval)
        self._name = name
        self._own = RateLimit(burst, interval)
        self._clock = clock
        self._shared = shared
        self._turns = KeyedTurns(1)
        self._rejected_until: OrderedDict[str, float] = OrderedDict()
        self._timeout = timeout or (MAX_OPERATIONS * shared.timeout if shared is not None else 0.0)
        self._checks = metrics.counter("notifyx_rate_limit_checks_total")

    async def try_acquire(self, key: str) -> float:
        """Count one action of ``key`` and return 0, or return the seconds to wait and count nothing."""
        return (await self.acquire(key)).wait

    async def acquire(self, key: str, *, count: bool = True) -> LimitState:
        """Count one action of ``key`` if it is allowed; return the state of the key after it.

        Without ``count`` the action is checked alone, to be counted once it is done.
        """
        if (state := self._cached_rejection(key)) is not None:
            return state
        if self._shared is not None and not self._own.wait(key, self._clock.monotonic()):
            state = await self._acquire_shared(self._shared, key, count=count)
            if state is not None:
                if state.wait:
                    self._cache_rejection(key, state.wait)
                elif count:
                    self._own.try_acquire(key, self._clock.monotonic())
                return state
        now = self._clock.monotonic()
        wait = self._own.wait(key, now)
        if count:
            self._own.try_acquire(key, now)
        self._count("memory", "refused" if wait else "allowed")
        return self._own.state(key, now, wait)

    def _cached_rejection(self, key: str) -> LimitState | None:
        """Return the state of ``key`` if the shared count has rejected it and its wait is not over."""
        until = self._rejected_until.get(key)
        if until is None:
            return None
        if (left := until - self._clock.monotonic()) <= 0:
            del self._rejected_until[key]
            return None
        self._count("memory", "refused")
        return LimitState(left, 0, left)

    def _cache_rejection(self, key: str, wait: float) -> None:
        self._rejected_until[key] = self._clock.monotonic() + wait
        self._rejected_until.move_to_end(key)
        if len(self._rejected_until) > MAX_REJECTED:
            self._rejected_until.popitem(last=False)

    async def _acquire_shared(self, shared: SharedTable, key: str, *, count: bool) -> LimitState | None:
        """Return the state of ``key`` by the count of all replicas; ``None`` if memcached does not answer."""
        change = _Change(self._own.bucket, self._clock, count=count)
        answered = False
        with contextlib.suppress(TimeoutError):
            # One request of this process at a time: concurrent updates would only make each other retry.
            async with RunningTimeout(self._timeout), self._turns.turn(key):
                if (state := self._cached_rejection(key)) is not None:  # by the request before this one
                    return state
                answered = await shared.update(bucket_key(self._name, key), change)
        self._count("shared", "error" if not answered else "refused" if change.state.wait else "allowed")
        return change.state if answered else None

    def _count(self, tier: str, result: str) -> None:
        self._checks.labels(self._name, tier, result).inc()


class _Change:
    """One action in a bucket whose state is decimal Unix time; ``state`` is the result of the last call."""

    def __init__(self, bucket: Bucket, clock: Clock, *, count: bool) -> None:
        self._bucket = bucket
        self._clock = clock
        self._count = count
        self.state = LimitState(0.0, bucket.burst, 0.0)

    def __call__(self, value: bytes | None) -> tuple[bytes, float] | None:
        now = self._clock.now().timestamp()
        full_at = moment(value, now)
        if wait := self._bucket.wait(full_at, now):
            self.state = self._bucket.state(full_at, now, wait)
            return None
        if not self._count:
            self.state = self._bucket.state(full_at, now)
            return None
        full_at = self._bucket.after(full_at, now)
        self.state = self._bucket.state(full_at, now)
        return b"%.6f" % full_at, full_at - now


def bucket_key(limit: str, key: str) -> bytes:
    """Return under which key of the shared table the bucket of ``key`` is."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"notifyx:limit:{limit}:{digest}".encode()


def moment(value: bytes | None, otherwise: float) -> float:
    """Return the moment that is stored as ``value``, or ``otherwise`` where none is."""
    try:
        return float(value) if value is not None else otherwise
    except ValueError:
        return otherwise
