"""Runs a target on inputs, counts what became of them, and shortens one that fails."""

from __future__ import annotations

import gc
import hashlib
import itertools
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from fuzz.mutator import Mutator
from fuzz.target import Target
from fuzz.targets import BY_NAME

BASE_CALLS = 20_000
"""Function calls that any input may take: those of a small one that is refused with a list of fields, many times."""

SLOW = 0.1
"""Processor seconds from which on a call is reported; only a run by hand measures time."""

SHRINK_STEPS = 400
"""Shorter inputs that are tried for one that fails."""

CHUNK = 10_000
"""Inputs after which the memory of the process is read again."""

COUNTED = 50
"""For so many inputs one more is read whose calls are counted."""

ROUNDS = 10
"""Times that the same inputs are read to see whether something of them is kept."""

TOO_MANY_CALLS = "too many calls"


@dataclass(slots=True)
class Outcome:
    """What became of inputs. ``failures`` are the errors with their inputs, ``slowest`` is in processor seconds."""

    inputs: int = 0
    accepted: int = 0
    size: int = 0
    slowest: float = 0.0
    failures: list[tuple[str, bytes]] = field(default_factory=list)
    slow: list[tuple[float, bytes]] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Add what became of other inputs."""
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.size += other.size
        self.slowest = max(self.slowest, other.slowest)
        self.failures += other.failures
        self.slow += other.slow


def run(target: Target, inputs: Iterable[bytes], *, timed: bool = True) -> Outcome:
    """Return what became of ``inputs``; of equal failures only the first is kept."""
    outcome, seen = Outcome(), set[str]()
    for data in inputs:
        started = time.thread_time() if timed else 0.0
        failure = failure_of(target, data, outcome)
        if timed:
            took = time.thread_time() - started
            outcome.slowest = max(outcome.slowest, took)
            if took > SLOW:
                outcome.slow.append((took, data))
        outcome.inputs += 1
        outcome.size += len(data)
        if failure is not None and failure not in seen:
            seen.add(failure)
            outcome.failures.append((failure, data))
    return outcome


def failure_of(target: Target, data: bytes, outcome: Outcome | None = None) -> str | None:
    """Return the error that is none of the target's refusals and the line that raised it; ``None`` if none was."""
    try:
        target.read(data)
    except target.refusals:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at is not None else "?"
        return f"{type(error).__name__} at {place}"
    if outcome is not None:
        outcome.accepted += 1
    return None


def calls(target: Target, data: bytes) -> int:
    """Return how many functions an input calls, of Python and of C."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # what it calls to finalize the objects of other tests is not of this input
    sys.setprofile(count)
    try:
        failure_of(target, data)
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return counted


def most_calls(target: Target, data: bytes) -> int:
    """Return how many functions an input may call."""
    return BASE_CALLS + target.calls_per_byte * len(data)


def run_share(share: tuple[str, int, int]) -> tuple[Outcome, float, int]:
    """Return what became of so many inputs of a target from a seed, the most calls for a byte, and the memory's growth.

    The memory is that of this process since the middle of its inputs, in bytes.
    """
    name, inputs, seed = share
    target = BY_NAME[name]
    mutator = Mutator(target.corpus(), seed=seed, has_head=target.has_head)
    total, busiest, before = Outcome(), 0.0, 0
    for first in range(0, inputs, CHUNK):
        more = min(CHUNK, inputs - first)
        total.add(run(target, (mutator.draw() for _ in range(more))))
        for data in (mutator.draw() for _ in range(more // COUNTED)):
            counted = calls(target, data)
            if counted > most_calls(target, data):
                total.failures.append((TOO_MANY_CALLS, data))
            busiest = max(busiest, counted / max(1000, len(data)))
        gc.collect()
        if first <= inputs // 2:
            before = psutil.Process().memory_info().rss
    return total, busiest, psutil.Process().memory_info().rss - before


def kept_blocks(target: Target, inputs: list[bytes]) -> int:
    """Return how many more blocks of memory are in use each time that the inputs are read again.

    It is the least of several times: what is cached comes once, and what is freed late comes at some time. Less than a
    block for an input is enough.
    """
    in_use: list[int] = []
    least = sys.maxsize
    while len(in_use) < ROUNDS and least >= len(inputs):
        for data in inputs:
            failure_of(target, data)
        re.purge()  # each email is read with a pattern of its own
        gc.collect()
        in_use.append(sys.getallocatedblocks())
        least = min((after - before for before, after in itertools.pairwise(in_use)), default=least)
    return least


def shortest(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Return a short input that still fails, by leaving out ever smaller parts."""
    steps, part = SHRINK_STEPS, max(1, len(data) // 2)
    while part and steps > 0:
        at = 0
        while at < len(data) and steps > 0:
            steps -= 1
            shorter = data[:at] + data[at + part :]
            if fails(shorter):
                data = shorter
            else:
                at += part
        part = part // 2
    return data


def keep(folder: Path, target: Target, failure: str, data: bytes) -> Path:
    """Write the shortest input with the same failure to a file, and return its path."""

    def fails(shorter: bytes) -> bool:
        if failure == TOO_MANY_CALLS:
            return calls(target, shorter) > most_calls(target, shorter)
        return failure_of(target, shorter) == failure

    smallest = shortest(data, fails)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target.name}-{hashlib.sha256(smallest).hexdigest()[:12]}"
    path.write_bytes(smallest)
    return path
