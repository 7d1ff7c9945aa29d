"""The quiet one of the cases of fairness: does something at a fixed rate, and notices how long each takes."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from bench.figures import Readings
from bench.machine import scheduled

INTERVAL = 0.025
"""Seconds between two: forty a second."""

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Taken:
    """One act: when it was due, in seconds since the beginning, how many milliseconds it took from then on, and whether
    it was carried out.

    Meanwhile the watched processes together ran for ``ran`` milliseconds, and waited ``queued`` for a processor.
    """

    due: float
    ms: float
    done: bool = True
    ran: float = 0.0
    queued: float = 0.0


async def steadily(
    act: Act,
    seconds: float,
    *,
    failures: tuple[type[Exception], ...] = (),
    watched: Collection[int] = (),
) -> list[Taken]:
    """Do ``act`` at the fixed rate, each when it is due whatever the others do; ``failures`` are noted, not raised.

    ``watched`` are the processes whose processor time is read.
    """
    taken: list[Taken] = []

    async def one(due: float) -> None:
        done, before = True, scheduled(watched)
        try:
            await act()
        except failures:
            done = False
        ms, meanwhile = (time.perf_counter() - due) * 1000, scheduled(watched)
        taken.append(Taken(due - begin, ms, done, meanwhile.ran - before.ran, meanwhile.waited - before.waited))

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds / INTERVAL)):
            due = begin + number * INTERVAL
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    return sorted(taken, key=lambda one: one.due)


def figures(key: str, taken: Iterable[Taken]) -> Readings:
    """Return p50 and p99 as ``<key>.p50`` and ``<key>.p99``, in milliseconds."""
    took = [one.ms for one in taken]
    return {f"{key}.p50": statistics.median(took), f"{key}.p99": p99(took)}


def p99(values: Iterable[float]) -> float:
    """Return the 99th percentile."""
    ordered = sorted(values)
    return ordered[int(len(ordered) * 0.99)]
