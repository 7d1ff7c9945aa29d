"""A timeout in time in which the event loop ran.

A loop that is late finds an answer and the end of the timeout at the same moment, and the end wins: the part that
answered in time would count as lost, because of this process. So the time is counted in steps, of which each round of
the loop takes one at most, and who waits for an answer that has come goes on before the end of the last one.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

STEPS = 5
"""A loop that is late has that many rounds for an answer."""


class RunningTimeout:
    """As ``asyncio.timeout``: raises :class:`TimeoutError` from the block after ``seconds`` in which the loop ran."""

    __slots__ = ("_left", "_limit", "_loop", "_step", "_timer")

    def __init__(self, seconds: float) -> None:
        self._left = STEPS
        self._limit = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._step = seconds / STEPS
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._timer = self._loop.call_later(self._step, self._count)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _count(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._step, self._count)
        else:
            self._limit.reschedule(self._loop.time())
