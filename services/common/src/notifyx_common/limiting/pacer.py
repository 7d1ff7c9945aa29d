"""One limit for all replicas on what a key does thousands of times a second.

Each process counts by itself, which costs a few arithmetic operations. What it has counted, it adds to the bucket that
all replicas share once that is worth :data:`SHARE_SECONDS`, and takes the shared state for its own where others have
used more. So the replicas together allow what one would, and at most that much more for each of them; no action waits
for memcached, and without it each replica limits by its own count.

A caller may be slowed down rather than rejected: it acts first and then waits.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.errors import Quota
from notifyx_common.limiting.buckets import Bucket
from notifyx_common.limiting.limiter import SharedTable, bucket_key, moment
from notifyx_common.metrics import Metrics

SHARE_SECONDS = 0.05
"""What a process counts before it adds that to the shared bucket, as the time in which the limit allows as much
again."""

MAX_DEBT = 10.0
"""Seconds that a key can be ahead of its limit, by actions that were done first; what is more does not count."""


@dataclass(slots=True)
class _Account:
    """The bucket of one key, as this process knows it: when it is full (monotonic), and what it has not shared yet."""

    full_at: float
    unshared: int = 0
    sharing: bool = False


class Pacer:
    """The limit called ``name``: each key may act ``rate`` times a second, and ``burst`` times at once."""

    def __init__(
        self,
        name: str,
        burst: int,
        rate: float,
        *,
        clock: Clock,
        metrics: Metrics,
        background: Background,
        shared: SharedTable | None,
        max_keys: int = 10_000,
    ) -> None:
        self._bucket = Bucket(burst, 1 / rate)
        self._window = self._bucket.window
        self.quota = Quota(name, burst, self._window)
        self._share = max(1, round(rate * SHARE_SECONDS))
        self._clock = clock
        self._shared = shared
        self._tasks = background.tasks()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._max_keys = max_keys
        checks = metrics.counter("notifyx_rate_limit_checks_total")
        self._allowed = checks.labels(name, "memory", "allowed")
        self._rejected = checks.labels(name, "memory", "refused")
        self._shared_allowed = checks.labels(name, "shared", "allowed")
        self._lost = checks.labels(name, "shared", "error")

    def take(self, key: str, count: int = 1, *, patience: float = 0.0) -> float:
        """Count ``count`` actions of ``key`` and return the seconds to wait after or before them, often 0.

        More than ``patience`` means that nothing was counted: the actions are allowed after that many seconds.
        """
        now = self._clock.monotonic()
        account = self._accounts.get(key)
        if account is None:
            account = self._open(key, now)
        full_at = max(account.full_at, now) + count * self._bucket.interval
        wait = full_at - now - self._window
        if wait > patience:
            self._rejected.inc(count)
            return wait
        account.full_at = min(full_at, now + self._window + MAX_DEBT)
        account.unshared += count
        if account.unshared >= self._share and not account.sharing:
            self._share_usage(key, account)
        return max(wait, 0.0)

    def _open(self, key: str, now: float) -> _Account:
        account = self._accounts[key] = _Account(now)
        if len(self._accounts) > self._max_keys:
            self._accounts.popitem(last=False)
        return account

    def _share_usage(self, key: str, account: _Account) -> None:
        self._allowed.inc(account.unshared)
        self._accounts.move_to_end(key)
        if self._shared is None:
            account.unshared = 0
            return
        account.sharing = True
        self._tasks.spawn("rate limit", self._add_to_shared(self._shared, key, account))

    async def _add_to_shared(self, shared: SharedTable, key: str, account: _Account) -> None:
        usage = _Usage(self._bucket, account.unshared, self._clock)
        account.unshared = 0
        try:
            answered = await shared.update(bucket_key(self.quota.name, key), usage)
        finally:
            account.sharing = False
        if not answered:
            self._lost.inc(usage.count)
            return
        self._shared_allowed.inc(usage.count)
        unshared = account.unshared * self._bucket.interval
        account.full_at = max(account.full_at, self._clock.monotonic() + usage.fills_in + unshared)


class _Usage:
    """Adds ``count`` actions to a bucket whose state is decimal Unix time; ``fills_in`` seconds it is full then."""

    def __init__(self, bucket: Bucket, count: int, clock: Clock) -> None:
        self._bucket = bucket
        self.count = count
        self._clock = clock
        self.fills_in = 0.0

    def __call__(self, value: bytes | None) -> tuple[bytes, float]:
        now = self._clock.now().timestamp()
        max_seconds = self._bucket.window + MAX_DEBT
        self.fills_in = min(max(moment(value, now) - now, 0.0) + self.count * self._bucket.interval, max_seconds)
        return b"%.6f" % (now + self.fills_in), self.fills_in
