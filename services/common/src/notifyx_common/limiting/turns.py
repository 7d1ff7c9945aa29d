"""Work of keys (accounts) that waits for its turn, in order, so that one key never occupies what all share."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias
from weakref import WeakValueDictionary

from notifyx_common.metrics import PoolUsage


class KeyedTurns:
    """At most ``concurrent`` works of each key run at once; the others of that key wait, the first one first."""

    def __init__(self, concurrent: int) -> None:
        self._concurrent = concurrent
        self._of_key: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """Those in use; who waits or works holds a reference."""

    @asynccontextmanager
    async def turn(self, key: str, patience: float | None = None) -> AsyncIterator[None]:
        """Hold a turn of ``key``. Raises :class:`TimeoutError` if none comes within ``patience`` seconds."""
        end = await self.take(key, patience)
        try:
            yield
        finally:
            end()

    async def take(self, key: str, patience: float | None = None) -> Callable[[], None]:
        """Wait for a turn of ``key`` as :meth:`turn` does; return what ends it, to be called once."""
        turns = self._of_key.get(key)
        if turns is None:
            turns = self._of_key[key] = asyncio.Semaphore(self._concurrent)
        if turns.locked():
            async with asyncio.timeout(patience):
                await turns.acquire()
        else:
            await turns.acquire()  # without waiting, and without a timer
        return turns.release


Place: TypeAlias = "asyncio.Future[str]"
"""A work's place among those that wait; once it has its turn, the key whose turn that is."""

HALF_LIFE = 10.0
"""Seconds after which half of what a key has used is forgotten."""

MAX_REMEMBERED, NEGLIGIBLE = 1000, 0.001
"""Keys of which it is known what they used, beyond which those are forgotten that used next to nothing, in seconds."""


class SharedTurns:
    """At most ``concurrent`` works of all keys run at once, ``each`` of one key.

    Keys that wait are served in turn, each in order; with a ``clock``, the one goes first whose works took the least
    time lately, so that who wants something short does not wait for those who want something long again and again.
    """

    def __init__(self, concurrent: int, *, each: int | None = None, clock: Callable[[], float] | None = None) -> None:
        self._free = self._concurrent = concurrent
        self._each = each or concurrent
        self._clock = clock
        self._waiting: OrderedDict[str, deque[Place]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._used: dict[str, tuple[float, float]] = {}
        """With a clock: the seconds that the works of a key took, and when that was noted."""

    @asynccontextmanager
    async def turn(self, key: str, place: Place | None = None) -> AsyncIterator[None]:
        """Hold a turn, when those of other keys that wait have had theirs. ``place`` is for :meth:`share`."""
        place = place or asyncio.get_running_loop().create_future()
        self.share(place, key)
        self._grant()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was granted in this iteration of the event loop
                self._end(place.result())
            raise
        began = self._now()
        try:
            yield
        finally:
            self._end(place.result(), self._now() - began)

    def share(self, place: Place, key: str) -> None:
        """Let a work that waits at ``place`` have a turn of ``key``, too, if that comes first."""
        if not place.done():
            self._waiting.setdefault(key, deque()).append(place)

    def usage(self) -> PoolUsage:
        """Return the number of works that run and wait."""
        waiting = sum(len(places) for places in self._waiting.values())
        return PoolUsage(self._concurrent - self._free, self._concurrent, waiting)

    def _grant(self) -> None:
        while self._free and (key := self._next()) is not None:
            places = self._waiting[key]
            place = places.popleft()
            if places:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
            if not place.done():
                self._free -= 1
                self._running[key] += 1
                place.set_result(key)

    def _next(self) -> str | None:
        """Return the key whose turn it is."""
        ready = (key for key in self._waiting if self._running[key] < self._each)
        return min(ready, key=self._recent_use, default=None) if self._clock else next(ready, None)

    def _now(self) -> float:
        return self._clock() if self._clock else 0.0

    def _recent_use(self, key: str) -> float:
        seconds, at = self._used.get(key, (0.0, 0.0))
        return float(seconds * 0.5 ** ((self._now() - at) / HALF_LIFE))

    def _end(self, key: str, seconds: float = 0.0) -> None:
        self._free += 1
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
        if seconds:
            self._used[key] = self._recent_use(key) + seconds, self._now()
            if len(self._used) > MAX_REMEMBERED:
                self._used = {name: used for name, used in self._used.items() if self._recent_use(name) > NEGLIGIBLE}
        self._grant()
