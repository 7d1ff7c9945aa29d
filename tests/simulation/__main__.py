"""``make simulate``: runs histories, and shows those that fail in their shortest form."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat

from chaos.histories.events import Join, Mail, Publish, Receive
from simulation.mutations import BY_NAME
from simulation.plan import Plan, draw, over_nats
from simulation.rules import check
from simulation.shrink import kept, shortest
from simulation.world import run

CHUNK = 50
"""Histories of one task of a process."""


@dataclass(slots=True)
class Outcome:
    """What became of some histories."""

    failed: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Run what the command line says; return 1 if a history failed."""
    options = _options()
    if options.keep is not None:
        keep = [int(at) for at in options.keep.split(",") if at]
        return _show(options.seed, kept(_plan(options.seed, options.without, options.bus), keep), options.without)
    if options.histories == 1:
        return _show(options.seed, _plan(options.seed, options.without, options.bus), options.without)
    started, total = time.monotonic(), Outcome()
    seeds = range(options.seed, options.seed + options.histories)
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(options.processes) as pool:
        for outcome in pool.map(_run_all, chunks, repeat(options.without), repeat(options.bus)):
            total.failed += outcome.failed
            total.counts += outcome.counts
            for seed in outcome.failed:
                print(f"seed {seed} fails", flush=True)
            late = options.seconds is not None and time.monotonic() - started > options.seconds
            if len(total.failed) >= options.failures or late:
                pool.shutdown(cancel_futures=True)
                break
    seconds = time.monotonic() - started
    print(f"{total.counts['histories']:,} histories in {seconds:.0f} s, {len(total.failed)} of them broken")
    if (following := options.seed + total.counts["histories"]) < seeds.stop:
        print(f"the next seed is {following}")
    print("; ".join(f"{count:,} {what}" for what, count in total.counts.items() if what != "histories"))
    for seed in total.failed[:3]:
        _shrink(seed, options.without, options.bus)
    return 1 if total.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first history; the others follow")
    parser.add_argument("--without", choices=sorted(BY_NAME), help="take out this protection")
    parser.add_argument("--bus", choices=("postgres", "nats"), default="postgres", help="what wakes the stores")
    parser.add_argument("--keep", help="only these steps of the history, by their numbers")
    parser.add_argument("--failures", type=int, default=10, help="stop after so many")
    parser.add_argument("--seconds", type=float, help="begin no more histories after so long")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


@contextlib.contextmanager
def _mutated(without: str | None) -> Iterator[None]:
    with BY_NAME[without].applied() if without is not None else contextlib.nullcontext():
        yield


def _plan(seed: int, without: str | None, bus: str) -> Plan:
    plan = draw(seed) if without is None else BY_NAME[without].scene(seed)
    return over_nats(plan) if bus == "nats" and not plan.nats else plan


def _run_all(seeds: range, without: str | None, bus: str) -> Outcome:
    outcome = Outcome()
    gc.disable()
    gc.freeze()
    with _mutated(without):
        for number, seed in enumerate(seeds):
            history = run(_plan(seed, without, bus))
            if check(history):
                outcome.failed.append(seed)
            outcome.counts["histories"] += 1
            outcome.counts["steps"] += len(history.plan.steps)
            outcome.counts["rounds of the event loop"] += history.turns
            outcome.counts["simulated seconds"] += round(history.seconds)
            for event in history.events:
                if isinstance(event, Publish):
                    outcome.counts["publishes " + event.outcome] += 1
                elif isinstance(event, Receive):
                    outcome.counts["deliveries"] += 1
                elif isinstance(event, Join) and event.since is not None:
                    outcome.counts["resumes"] += 1
                elif isinstance(event, Mail):
                    outcome.counts["emails"] += 1
            if number % 25 == 24:
                gc.collect()
    return outcome


def _show(seed: int, plan: Plan, without: str | None) -> int:
    with _mutated(without):
        history = run(plan)
        violations = check(history)
    for client in plan.clients:
        print(f"{client.name}: {client.kind} of {client.user}, {client.topics}")
    for step in plan.steps:
        print(step)
    print()
    for event in history.events:
        print(event)
    print()
    print(f"trace {history.trace}")
    for violation in violations:
        print(violation)
    return 1 if violations else 0


def _shrink(seed: int, without: str | None, bus: str) -> None:
    plan = _plan(seed, without, bus)
    with _mutated(without):
        positions = shortest(plan, lambda smaller: bool(check(run(smaller))))
        smallest = kept(plan, positions)
        violations = check(run(smallest))
    print(f"\nseed {seed}, {len(positions)} of {len(plan.steps)} steps:")
    for step in smallest.steps:
        print(f"  {step}")
    for violation in violations[:5]:
        print(violation)
    options_again = f" --without {without}" if without is not None else ""
    options_again += " --bus nats" if bus == "nats" else ""
    keep = ",".join(map(str, positions))
    print(f'make simulate ARGS="--seed {seed} --keep {keep}{options_again}"')


if __name__ == "__main__":
    sys.exit(main())
