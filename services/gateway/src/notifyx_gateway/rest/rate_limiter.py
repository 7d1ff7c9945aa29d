"""One limit for all gateways: its buckets are in memcached, and in this process for when that is away.

This process's own buckets are asked first: they hold a part of what all gateways count, so that whom they refuse all
would refuse, and a flood of refused requests costs memcached nothing. Losing memcached makes the limit count for each
gateway by itself, as it does where none is configured; no request waits for a dead one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from weakref import WeakValueDictionary

from notifyx_common.caching.memcached import Memcached
from notifyx_common.clock import Clock
from notifyx_common.metrics import Metrics
from notifyx_gateway.rest.limits import Bucket, RateLimit

SHARED_TIMEOUT = 0.2
"""Seconds a request waits for its lock and for memcached, however slow; past it the process's own count holds."""


class RateLimiter:
    """The limit called ``name``: each key may act ``burst`` times at once, and once more every ``interval`` seconds."""

    def __init__(
        self, name: str, burst: int, interval: float, *, clock: Clock, metrics: Metrics, shared: Memcached | None
    ) -> None:
        self._name = name
        self._own = RateLimit(burst, interval)
        self._clock = clock
        self._shared = shared
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._checks = metrics.counter("notifyx_rate_limit_checks_total")

    async def try_acquire(self, key: str) -> float:
        """Count one action of ``key`` if it may happen now: 0, or the seconds to wait. A refused one is free."""
        if self._shared is not None and not self._own.wait(key, self._clock.monotonic()):
            wait = await self._try_acquire_shared(self._shared, key)
            if wait is not None:
                if not wait:
                    self._own.try_acquire(key, self._clock.monotonic())
                return wait
        now = self._clock.monotonic()
        wait = self._own.wait(key, now)
        self._own.try_acquire(key, now)
        self._count("memory", "refused" if wait else "allowed")
        return wait

    async def _try_acquire_shared(self, shared: Memcached, key: str) -> float | None:
        """The seconds to wait by what all gateways count; ``None`` when memcached does not answer."""
        change = _Change(self._own.bucket, self._clock)
        # Requests of this process take turns: they would only make each other try again.
        lock = self._locks.setdefault(key, asyncio.Lock())
        answered = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHARED_TIMEOUT), lock:
                answered = await shared.update(self._shared_key(key), change)
        self._count("shared", "error" if not answered else "refused" if change.wait else "allowed")
        return change.wait if answered else None

    def _shared_key(self, key: str) -> bytes:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return f"notifyx:limit:{self._name}:{digest}".encode()

    def _count(self, tier: str, result: str) -> None:
        self._checks.labels(self._name, tier, result).inc()


class _Change:
    """One action in a bucket whose state is Unix time in decimal; ``wait`` is what the last call found."""

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket = bucket
        self._clock = clock
        self.wait = 0.0

    def __call__(self, value: bytes | None) -> tuple[bytes, float] | None:
        now = self._clock.now().timestamp()
        full_at = _moment(value, now)
        self.wait = self._bucket.wait(full_at, now)
        if self.wait:
            return None
        full_at = self._bucket.after(full_at, now)
        return b"%.6f" % full_at, full_at - now


def _moment(value: bytes | None, otherwise: float) -> float:
    try:
        return float(value) if value is not None else otherwise
    except ValueError:
        return otherwise
