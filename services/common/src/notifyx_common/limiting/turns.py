"""Work of one key (an account) that waits for its turn, in order, so that one key never occupies what all share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


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
