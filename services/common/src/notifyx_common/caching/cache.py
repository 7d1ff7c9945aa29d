"""A two-tier cache: a bounded tier in this process, then the shared tier (memcached, where it is configured).

Losing memcached costs speed, never correctness. A shared value is sealed together with its key and expiry time, so that
it is accepted only for its own key, only until that time, and only if a process of this deployment wrote it. Concurrent
loads of one key share one call. ``docs/caching.md`` lists what is cached, for how long, and what evicts it earlier.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import orjson

from notifyx_common.background import Background
from notifyx_common.caching.memcached import Memcached
from notifyx_common.caching.sealing import Entry
from notifyx_common.clock import Clock
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics

log = get_logger(__name__)

T = TypeVar("T")


class MemoryTier(Generic[T]):
    """Evicts the least recently used entry at the bound, and an expired one when it is read."""

    def __init__(self, max_items: int) -> None:
        self._items: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._max_items = max_items

    def get(self, key: str, now: float) -> tuple[T] | None:
        """Return the value in a tuple, since ``None`` can be a value; ``None`` for a miss."""
        found = self._items.get(key)
        if found is None:
            return None
        if found[1] <= now:
            del self._items[key]
            return None
        self._items.move_to_end(key)
        return (found[0],)

    def set(self, key: str, value: T, until: float) -> None:
        """Store ``value`` until ``until``, on the clock of ``get``'s ``now``."""
        self._items[key] = (value, until)
        self._items.move_to_end(key)
        while len(self._items) > self._max_items:
            self._items.popitem(last=False)

    def delete(self, key: str) -> None:
        """Delete ``key``."""
        self._items.pop(key, None)

    def matching_keys(self, matches: Callable[[T], bool]) -> list[str]:
        """Return the keys whose value matches."""
        return [key for key, (value, _) in self._items.items() if matches(value)]

    def __len__(self) -> int:
        return len(self._items)


class Cache(Generic[T]):
    """The cache of one kind of value. ``T`` must be immutable: all callers get the same object.

    ``encode`` turns a value into JSON data for the shared tier; ``decode`` reads it back and raises
    :class:`ValueError` for data of an incompatible version.
    """

    def __init__(
        self,
        name: str,
        *,
        encode: Callable[[T], Any],
        decode: Callable[[Any], T],
        clock: Clock,
        metrics: Metrics,
        background: Background,
        shared: Memcached | None = None,
        max_items: int = 10_000,
    ) -> None:
        self._name = name
        self._encode = encode
        self._decode = decode
        self._clock = clock
        self._shared = shared
        self._memory: MemoryTier[T] = MemoryTier(max_items)
        self._loads = background.tasks()
        self._running_loads: dict[str, asyncio.Task[T]] = {}
        self._requests = metrics.counter("notifyx_cache_requests_total")

    async def get_or_load(self, key: str, loader: Callable[[], Awaitable[T]], ttl: float | Callable[[T], float]) -> T:
        """Return the value of ``key``, loaded if it is not cached, and cache it for ``ttl`` seconds (0: not cached).

        Only one load of a key runs at a time. Raises what ``loader`` raises; errors are not cached.
        """
        found = self._memory.get(key, self._clock.monotonic())
        self._count("memory", "hit" if found is not None else "miss")
        if found is not None:
            return found[0]
        load = self._running_loads.get(key)
        if load is None:
            load = self._loads.shared("cache load", self._fetch(key, loader, ttl))
            self._running_loads[key] = load
            load.add_done_callback(lambda task: self._on_loaded(key, task))
        # A cancelled caller must not cancel the load that others wait for.
        return await asyncio.shield(load)

    async def delete(self, key: str) -> None:
        """Delete ``key`` in both tiers; the result of a running load is not cached."""
        self._running_loads.pop(key, None)
        self._memory.delete(key)
        if self._shared is not None:
            await self._shared.delete(self._shared_key(key))

    async def delete_matching(self, matches: Callable[[T], bool]) -> None:
        """Delete the matching values of this process, and the same keys in the shared tier."""
        for key in self._memory.matching_keys(matches):
            await self.delete(key)

    async def _fetch(self, key: str, loader: Callable[[], Awaitable[T]], ttl: float | Callable[[T], float]) -> T:
        me = asyncio.current_task()
        found = await self._from_shared(key)
        if found is not None:
            value, left = found
            if self._running_loads.get(key) is me:
                self._memory.set(key, value, self._clock.monotonic() + left)
            return value
        value = await loader()
        seconds = ttl(value) if callable(ttl) else ttl
        if seconds > 0 and self._running_loads.get(key) is me:
            self._memory.set(key, value, self._clock.monotonic() + seconds)
            if self._shared is not None:
                await self._shared.set(self._shared_key(key), orjson.dumps(self._encode(value)), seconds)
        return value

    async def _from_shared(self, key: str) -> tuple[T, float] | None:
        if self._shared is None:
            return None
        entry, answered = await self._shared.get(self._shared_key(key))
        found = self._decode_entry(entry) if entry is not None else None
        self._count("shared", "error" if not answered else "miss" if found is None else "hit")
        return found

    def _decode_entry(self, entry: Entry) -> tuple[T, float] | None:
        """Return the value and the seconds for which it is still valid."""
        try:
            value = self._decode(orjson.loads(entry.content))
        except (ValueError, KeyError, TypeError):
            log.warning("cache_value_invalid", cache=self._name)
            return None
        return value, entry.expires_at - self._clock.now().timestamp()

    def _shared_key(self, key: str) -> bytes:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return f"notifyx:{self._name}:{digest}".encode()

    def _on_loaded(self, key: str, task: asyncio.Task[T]) -> None:
        if self._running_loads.get(key) is task:
            del self._running_loads[key]

    def _count(self, tier: str, result: str) -> None:
        self._requests.labels(self._name, tier, result).inc()
