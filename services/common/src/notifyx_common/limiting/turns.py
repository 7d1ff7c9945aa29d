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

    def busy(self, key: str) -> bool:
        """Return whether a work of ``key`` has to wait for its turn."""
        turns = self._of_key.get(key)
        return turns is not None and turns.locked()

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
"""Seconds after which half of what a key has used counts no more."""

MAX_RECORDED, NEGLIGIBLE = 1000, 0.001
"""Maximum number of keys whose use is recorded; beyond it those are evicted that used less than so many seconds."""

RESTS = 2.0
"""How long the key rests that used the most, while others are at work, to how long it worked since its last rest: its
works take a third of the time at most."""

MUCH, LONG = 1.0, 0.005
"""A key rests if it used that much lately, after that many seconds of work: what is short makes nobody wait."""

PATIENCE = 1.0
"""Seconds that a work waits for the rests of its key, at most."""

MEMORY = 2.0
"""Seconds for which a key is at work after its last sign."""


class SharedTurns:
    """At most ``concurrent`` works of all keys run at once, ``each`` of one key.

    Keys that wait are served in turn, each in order; with a ``clock``, the one goes first whose works took the least
    time lately, so that who wants something short does not wait for those who want something long again and again.
    Works also share what has no turns (processors, a database). So the key that used the most has one turn and rests
    after each work, while others are at work.
    """

    def __init__(self, concurrent: int, *, each: int | None = None, clock: Callable[[], float] | None = None) -> None:
        self._free = self._concurrent = concurrent
        self._each = each or concurrent
        self._clock = clock
        self._waiting: OrderedDict[str, deque[tuple[Place, float]]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._used: dict[str, tuple[float, float]] = {}
        """With a clock: the seconds that the works of a key took, and when that was noted."""
        self._resting: dict[str, float] = {}
        """The keys that rest after each work, and until when they do."""
        self._worked: dict[str, float] = {}
        """The seconds that keys worked since they last rested, of those that used much."""
        self._seen: dict[str, float] = {}
        """The last two keys at work, and when they last were."""
        self._timer: asyncio.TimerHandle | None = None

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
            self.note(key)
            self._waiting.setdefault(key, deque()).append((place, self._now()))

    def note(self, key: str) -> None:
        """Note that ``key`` is at work, in whatever way: others rest for it."""
        self._seen.pop(key, None)
        self._seen[key] = self._now()
        if len(self._seen) > 2:  # one of two keys is another than any given one
            del self._seen[next(iter(self._seen))]

    def others_at_work(self, key: str) -> bool:
        """Return whether others than ``key`` are at work."""
        since = self._now() - MEMORY
        return any(other != key and at > since for other, at in self._seen.items())

    def usage(self) -> PoolUsage:
        """Return the number of works that run and wait."""
        waiting = sum(len(places) for places in self._waiting.values())
        return PoolUsage(self._concurrent - self._free, self._concurrent, waiting)

    def _grant(self) -> None:
        while self._free and (key := self._next()) is not None:
            places = self._waiting[key]
            place, _ = places.popleft()
            if places:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
            if not place.done():
                self._free -= 1
                self._running[key] += 1
                place.set_result(key)
        self._wake_later()

    def _wake_later(self) -> None:
        """Grant turns again when the first rest is over that a work waits for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._free:
            return
        now = self._now()
        waiting = (key for key in self._resting if key in self._waiting and self._running[key] < self._each)
        soonest = min(map(self._ready_at, waiting), default=None)
        if soonest is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, soonest - now), self._grant)

    def _ready_at(self, key: str) -> float:
        """Return when a work that waits may begin, of a key that may rest."""
        until = self._resting.get(key)
        if until is None or not self.others_at_work(key):
            return 0.0
        patient = self._waiting[key][0][1] + PATIENCE
        return patient if self._running[key] else min(until, patient)

    def _next(self) -> str | None:
        """Return the key whose turn it is."""
        now = self._now()
        ready = (key for key in self._waiting if self._running[key] < self._each and self._ready_at(key) <= now)
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
            now = self._now()
            self._used[key] = self._recent_use(key) + seconds, now
            self._resting.pop(key, None)
            worked = self._worked.pop(key, 0.0) + seconds
            if self._rests(key):
                if worked >= LONG:
                    self._resting[key] = now + RESTS * worked
                else:
                    self._worked[key] = worked
            if len(self._used) > MAX_RECORDED:
                self._used = {name: used for name, used in self._used.items() if self._recent_use(name) > NEGLIGIBLE}
                self._resting = {name: until for name, until in self._resting.items() if until > now}
                self._worked.clear()
        self._grant()

    def _rests(self, key: str) -> bool:
        """Return whether ``key`` used the most of all by now, and that was much."""
        if not self.others_at_work(key):
            return False
        return self._recent_use(key) >= max(MUCH, *map(self._recent_use, self._used))
