"""Runs histories one after the other on one platform, which is replaced after a failure, and reports."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from chaos.histories.bed import running_bed
from chaos.histories.checker import check
from chaos.histories.events import Event, from_lines, to_lines
from chaos.histories.facts import Violation
from chaos.histories.figures import Figures, figures_of
from chaos.histories.history import Stage, running_stage
from chaos.histories.mutations import BY_NAME
from chaos.histories.plan import Bus, Plan, Standbys, draw, upgraded, usual_seconds
from chaos.histories.report import Part, summary, write
from chaos.histories.results import Results
from chaos.histories.shrink import Shrinking
from chaos.histories.system import System
from chaos.histories.targets import FaultKind


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    histories: int
    seed: str
    first: int
    seconds: float
    minutes: float
    faults: tuple[FaultKind, ...]
    target: str
    without: tuple[str, ...]
    standbys: Standbys
    bus: Bus
    older: Path | None
    replay: Path | None
    check: Path | None
    shrink: int
    keep: Path
    results: Path | None
    write: bool
    cluster: bool

    @property
    def command(self) -> str:
        """The options that say which histories these are."""
        parts = ["--cluster"] * self.cluster
        parts += [f"--histories {self.histories}", f"--seed {self.seed}"]
        parts += [f"--first {self.first}"] * bool(self.first)
        parts += [f"--seconds {self.seconds:g}"] * (self.seconds != usual_seconds(cluster=self.cluster))
        parts += [f"--fault {fault}" for fault in self.faults]
        parts += [f"--target {self.target}"] * bool(self.target)
        parts += [f"--standbys {self.standbys}"] * (self.standbys != "none")
        parts += [f"--bus {self.bus}"] * (self.bus != "postgres")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Result:
    """A history, and what it breaks."""

    plan: Plan
    history: Sequence[Event]
    violations: Sequence[Violation]


class Runner:
    """The platform that histories run on, and the number of the next one."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._standbys = options.standbys
        self._stack = contextlib.AsyncExitStack()
        self._stage: Stage | None = None
        self._number = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Runner]:
        """Let the platform end with the block."""
        try:
            yield self
        finally:
            await self._stack.aclose()

    async def stage(self) -> Stage:
        """Return the platform; start one if there is none."""
        stage = self._stage
        if stage is None:
            system = await self._stack.enter_async_context(_running_system(self._options, self._standbys))
            stage = await self._stack.enter_async_context(running_stage(system, self._options.seed))
            self._stage = stage
        return stage

    async def run(self, plan: Plan) -> Result:
        """Run ``plan``."""
        stage = await self.stage()
        self._number += 1
        history = await stage.run(plan, f"h{self._number}")
        return Result(plan, history, check(history))

    async def use(self, standbys: Standbys) -> None:
        """Let the next history run on a platform with such standbys."""
        if standbys != self._standbys:
            await self.replace()
            self._standbys = standbys

    async def replace(self, keep: Path | None = None) -> None:
        """End the platform, so that the next history begins on another; its logs go to ``keep``."""
        if self._stage is not None and keep is not None:
            await self._stage.system.keep_logs(keep / "logs")
        self._stage = None
        await self._stack.aclose()
        self._stack = contextlib.AsyncExitStack()


def _running_system(options: Options, standbys: Standbys) -> AbstractAsyncContextManager[System]:
    if not options.cluster:
        return running_bed(options.seed, options.older, standbys=standbys, bus=options.bus)
    from chaos.histories.clustered.bed import running_cluster_bed  # noqa: PLC0415 - needs the packages of a cluster

    return running_cluster_bed()


async def run(options: Options) -> int:
    """Do what the options say; 1 if a history broke the promise."""
    if options.check is not None:
        violations = check(from_lines(options.check.read_text()))
        print("\n".join(map(str, violations)) or "nothing is broken")
        return int(bool(violations))
    if options.without:
        return await _run_without(options)
    results = Results(options.results)
    figures = results.total
    began = time.monotonic()
    async with Runner(options).running() as runner:
        system = (await runner.stage()).system
        targets = system.targets.having(options.target)
        if options.replay is not None:
            replayed = Plan.model_validate_json(options.replay.read_text())
            plans = [replayed] * options.histories
        else:
            numbers = range(options.first, options.first + options.histories)
            seeds = [seed for one in numbers if (seed := f"{options.seed}:{one}") not in results.seeds]
            plans = [draw(seed, targets, options.seconds, options.faults, system.pauses) for seed in seeds]
        if options.older is not None:
            plans = [upgraded(plan) for plan in plans]
        for plan in plans:
            if options.minutes and time.monotonic() - began > options.minutes * 60:
                break
            result = await runner.run(plan)
            one = figures_of(result.history, [violation.rule for violation in result.violations], plan.seed)
            results.add(plan.seed, one)
            print(line(result, one), flush=True)
            if result.violations:
                await _failed(runner, result, options)
            elif options.older is not None:
                await runner.replace()
    print(summary(figures, options.seed, time.monotonic() - began))
    if options.write:
        write(figures, options.command, Part.CLUSTER if options.cluster else Part.MACHINE)
    return int(figures.failed > 0)


async def _run_without(options: Options) -> int:
    """Take protections out, one after the other; 1 if one is not missed by a history of the faults that need it."""
    missed = []
    async with Runner(options).running() as runner:
        for mutation in (BY_NAME[name] for name in options.without):
            await runner.use(mutation.standbys)
            system = (await runner.stage()).system
            await system.take_out(mutation.name)
            print(f"without {mutation.name}: {mutation.meaning}", flush=True)
            first = options.first or mutation.first
            for number in range(first, first + options.histories):
                targets = system.targets.having(mutation.target)
                seconds = max(mutation.seconds, options.seconds)
                seed = f"{options.seed}:{number}"
                result = await runner.run(draw(seed, targets, seconds, mutation.faults, system.pauses))
                print(line(result, figures_of(result.history)), flush=True)
                if result.violations:
                    keep(result, options.keep / f"without-{mutation.name}")
                    missed.append(mutation.name)
                    break
    print(f"missed by a history: {len(missed)} of {len(options.without)} protections")
    return int(len(missed) < len(options.without))


async def _failed(runner: Runner, result: Result, options: Options) -> None:
    folder = options.keep / result.plan.seed.replace(":", "-")
    keep(result, folder)
    await runner.replace(folder)
    shrinking = Shrinking(result.plan, options.shrink)
    while (candidate := shrinking.next()) is not None:
        again = await runner.run(candidate)
        shrinking.tell(failed=bool(again.violations))
        print(f"  smaller: {'fails' if again.violations else 'holds'}: {describe(candidate)}", flush=True)
        if again.violations:
            keep(again, folder / "smallest")
            await runner.replace()


def keep(result: Result, folder: Path) -> None:
    """Write a history, its plan and what it breaks."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(result.plan.model_dump_json(indent=1))
    (folder / "history.jsonl").write_text(to_lines(result.history))
    (folder / "violations.txt").write_text("".join(f"{one}\n" for one in result.violations))
    for violation in result.violations[:10]:
        print(f"    {violation}")
    print(f"    kept in {folder}", flush=True)


def describe(plan: Plan) -> str:
    """Return what is in a plan, in one line."""
    faults = ", ".join(str(fault) for fault in plan.faults) or "no fault"
    return f"{len(plan.publishers)} publishers, {len(plan.clients)} clients, {len(plan.readers)} readers; {faults}"


def line(result: Result, figures: Figures) -> str:
    """Return the line of a history."""
    verdict = "BROKEN" if result.violations else "kept"
    seconds = max(event.at for event in result.history)
    return (
        f"{verdict:6} {result.plan.seed:16} {seconds:5.1f} s  {figures.publishes:4} publishes {figures.deliveries:5} "
        f"deliveries {figures.resumes:3} resumes {figures.mails:3} mails  outage {figures.outage:4.1f} s  "
        f"{describe(result.plan)}"
    )
