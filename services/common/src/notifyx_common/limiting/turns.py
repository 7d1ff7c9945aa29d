"""Work of keys (accounts) that waits for its turn, in order, so that one key never occupies what all share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
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
        turns = self._of_key.get(key)
        if turns is None:
            turns = self._of_key[key] = asyncio.Semaphore(self._concurrent)
        async with asyncio.timeout(patience):
            await turns.acquire()
        try:
            yield
        finally:
            turns.release()


Place: TypeAlias = "asyncio.Future[None]"
"""A work's place among those that wait; done once it has its turn."""


class SharedTurns:
    """At most ``concurrent`` works of all keys run at once. Keys that wait are served in turn, each in order."""

    def __init__(self, concurrent: int) -> None:
        self._free = self._concurrent = concurrent
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, key: str, place: Place | None = None) -> AsyncIterator[None]:
        """Hold a turn, when those of other keys that wait have had theirs. ``place`` is for :meth:`share`."""
        place = place or asyncio.get_running_loop().create_future()
        if self._free:
            self._free -= 1
            place.set_result(None)
        else:
            await self._wait(key, place)
        try:
            yield
        finally:
            self._pass_on()

    def share(self, place: Place, key: str) -> None:
        """Let a work that waits at ``place`` have a turn of ``key``, too, if that comes first."""
        if not place.done():
            self._waiting.setdefault(key, deque()).append(place)

    def usage(self) -> PoolUsage:
        """Return the number of works that run and wait."""
        waiting = sum(len(places) for places in self._waiting.values())
        return PoolUsage(self._concurrent - self._free, self._concurrent, waiting)

    async def _wait(self, key: str, place: Place) -> None:
        self._waiting.setdefault(key, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was granted in this iteration of the event loop
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            key, places = next(iter(self._waiting.items()))
            place = places.popleft()
            if places:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
