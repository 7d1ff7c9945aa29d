"""Lets small requests of several lanes go one after the other, so that what comes meanwhile shares the next one.

A request costs gateway, store and PostgreSQL as much as a hundred of its items. Where many accounts send little each,
every request that may be in flight would leave with the few items that are there. Only small requests wait, and only
for small ones of accounts that send little: who sends much holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FEW_ITEMS = 32
"""A request with as many items is never small."""

FEW_ITEMS_EACH = 4
"""Nor is one with as many of each of its accounts."""


class Gathering:
    """The small requests of some lanes to the same store."""

    def __init__(self, patience: float) -> None:
        """``patience`` is how long a lane waits at most, in seconds."""
        self._patience = patience
        self._in_flight = 0
        self._waiting: dict[Callable[[], None], asyncio.TimerHandle] = {}

    def wait(self, items: int, start: Callable[[], None]) -> bool:
        """Return whether a lane with that many items waits; ``start`` is then called once it need not wait any more.

        If it does not wait, its request is in flight as a small one, until :meth:`end`.
        """
        waits = start in self._waiting
        if items < FEW_ITEMS and (waits or self._in_flight):
            if not waits:
                timer = asyncio.get_running_loop().call_later(self._patience, self._start, start)
                self._waiting[start] = timer
            return True
        if waits:
            self._waiting.pop(start).cancel()
        self._in_flight += 1
        return False

    def end(self) -> None:
        """Note that a request is answered, or is not small; the lane that waits longest may start."""
        self._in_flight -= 1
        if not self._in_flight and self._waiting:
            self._start(next(iter(self._waiting)))

    def hurry(self, start: Callable[[], None]) -> None:
        """Call ``start`` now if it waits."""
        if start in self._waiting:
            self._start(start)

    def _start(self, start: Callable[[], None]) -> None:
        self._waiting.pop(start).cancel()
        self._in_flight += 1
        start()


def is_small(items: int, owners: int) -> bool:
    """Return whether a request with items of that many accounts lets others wait."""
    return items < min(FEW_ITEMS, FEW_ITEMS_EACH * owners)
