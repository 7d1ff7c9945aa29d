"""An event loop without a selector, threads or a clock: its time jumps to the next timer.

Each callback belongs to a host (:data:`HOST`, inherited by context); those of a host that was killed never run.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any, Protocol, TypeVarTuple

Ts = TypeVarTuple("Ts")


class Mortal(Protocol):
    """What callbacks may belong to."""

    alive: bool


HOST: ContextVar[Mortal | None] = ContextVar("host", default=None)
"""The host that runs."""


class Stuck(Exception):
    """Nothing is left that could happen."""


class _Task(asyncio.Task[Any]):
    """A task whose place in sets follows from when it began, not from where it lies in memory."""

    def __init__(self, number: int, work: Coroutine[Any, Any, Any], loop: SimulatedLoop, context: Context | None):
        self._number = number
        super().__init__(work, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks in the order in which they became ready. ``turns`` counts its rounds, ``limit`` bounds them."""

    _ready: Any
    _scheduled: Any

    def __init__(self, limit: int = 200_000) -> None:
        super().__init__()
        self.turns = 0
        self._limit = limit
        self._seconds = 0.0
        self._timers = 0
        self._tasks: list[_Task] = []
        self._everybody = False
        self.set_debug(False)
        self.set_exception_handler(self._on_error)
        self.set_task_factory(self._make_task)
        self.errors: list[str] = []
        """What no code caught."""

    def time(self) -> float:
        return self._seconds

    def set_timer(self, when: float, run: Callable[[], object], context: Context) -> None:
        """Call ``run`` at ``when``; nothing cancels it."""
        self.call_at(when, run, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]
        self._timers += 1
        heapq.heappush(self._scheduled, (when, self._timers, timer))  # handles are compared by Python code
        return timer

    def current_host(self) -> Mortal | None:
        """Return the host that runs now."""
        return HOST.get()

    async def end_tasks(self) -> None:
        """Cancel and await all other tasks, those of hosts that were killed too."""
        self._everybody = True
        mine = asyncio.current_task()
        for _ in range(10):
            left = [task for task in self._tasks if task is not mine and not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=5.0)

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None) -> _Task:
        task = _Task(len(self._tasks), work, self, context)
        self._tasks.append(task)
        return task

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns > self._limit and not self._everybody:
            self._limit *= 2
            raise Stuck(f"more than {self.turns} rounds of the event loop")
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0][2]._cancelled:
            heapq.heappop(scheduled)[2]._scheduled = False
        if not ready:
            if not scheduled:
                raise Stuck("nothing is left that could happen")
            self._seconds = max(self._seconds, scheduled[0][0])
        while scheduled and scheduled[0][0] <= self._seconds:
            timer = heapq.heappop(scheduled)[2]
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            host = handle._context.get(HOST)
            if host is None or host.alive or self._everybody:
                handle._run()
