"""What a quiet one notices of others, in turns: alone, beside them, and beside a control.

Others use processors, which the quiet one would miss whatever they were used for. So each company has a control: a
program that uses as much processor time as it cost all processes, while the platform has nothing else to do. What the
platform makes the quiet one wait is the difference between the two.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

from bench.case import Cores, Tools
from bench.figures import Readings
from bench.kinds.quiet import Taken, figures
from bench.load import Load, running
from bench.machine import cpu_of
from bench.servers.own import Own

LITTLE = 0.005
"""Processors that are not worth a thread of the control."""

Work = Callable[[], Awaitable[Mapping[str, list[Taken]]]]
"""Does the work of the quiet one, and returns what it took, by way."""

Used = Callable[[], Mapping[str, float]]
"""Returns the processor time of processes, by name."""


class Turns:
    """The turns of one quiet one, who does ``work`` in each."""

    def __init__(self, tools: Tools, server: Own, cores: Cores, work: Work) -> None:
        self.taken: defaultdict[str, list[Taken]] = defaultdict(list)
        """What its work took, by way and company."""
        self._tools = tools
        self._server = server
        self._cores = cores
        self._work = work

    async def alone(self) -> Mapping[str, float]:
        """Take a turn alone; return how many processors each process used."""
        return await self._turn("alone", lambda: cpu_of(self._server.processes()))

    async def beside(self, company: str, load: Load) -> Mapping[str, float]:
        """Take a turn beside ``load``; return the same."""
        return await self._turn(company, partial(load.used, self._server.processes()))

    async def control(self, company: str, cost: Collection[float]) -> float:
        """Take a turn beside the control of ``company``, which uses ``cost`` processors; return how many it used."""
        shares = [f"{one:.3f}" for one in cost]
        with running(self._tools.programs["busy"], shares, cores=self._cores.client, apart=True) as busy:
            await asyncio.to_thread(busy.figures)
            return (await self.beside(f"{company}_control", busy))["client"]

    def figures(self, companies: Collection[str]) -> Readings:
        """Return p50 and p99 by way and company, as multiples of those alone, and of those beside the control."""
        found: dict[str, float] = {}
        for key, of_key in self.taken.items():
            found |= figures(key, of_key)
        for key in self.taken:
            way, _, company = key.partition(".")
            for part in ("p50", "p99"):
                found[f"{key}.{part}.ratio"] = found[f"{key}.{part}"] / found[f"{way}.alone.{part}"]
                if company in companies:
                    found[f"{key}.{part}.control"] = found[f"{key}.{part}"] / found[f"{key}_control.{part}"]
        return found

    async def _turn(self, company: str, used: Used) -> Mapping[str, float]:
        before, began = used(), time.perf_counter()
        for way, taken in (await self._work()).items():
            self.taken[f"{way}.{company}"] += taken
        seconds, after = time.perf_counter() - began, used()
        return {name: (after[name] - before[name]) / seconds for name in before}


def more_than(alone: Mapping[str, float], beside: Mapping[str, float]) -> list[float]:
    """Return the processors that each process used more than alone, those of the quiet one's work left out. Pure.

    A part is one processor at most; that of a process with children may be several.
    """
    parts: list[float] = []
    for name, cores in beside.items():
        more = cores - alone.get(name, 0.0)
        while more > LITTLE:
            parts.append(min(more, 1.0))
            more -= parts[-1]
    return parts
