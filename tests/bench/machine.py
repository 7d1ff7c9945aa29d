"""The machine as the operating system shows it: processor cores, and processor time and memory by process."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

CORES = tuple(sorted(os.sched_getaffinity(0))) if sys.platform == "linux" else tuple(range(os.cpu_count() or 1))
SERVERS, CLIENT = CORES[:1], CORES[-1:]
"""Where servers run, and where the load client does, in a case of one core."""


@contextlib.contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Let what is started in the block run on ``cores`` alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pids: Collection[int], cores: Collection[int]) -> None:
    """Move processes, with their children and all their threads, to ``cores``."""
    for pid in _trees(pids):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, those that have ended included."""
    total = 0.0
    for one in _trees([pid]):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(one).cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def cpu_of(processes: Mapping[str, int]) -> dict[str, float]:
    """Return the processor time of each process with its children, by name."""
    return {name: cpu_seconds(pid) for name, pid in processes.items()}


def ended_children() -> float:
    """Return the processor time of this process's children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True, slots=True)
class Scheduled:
    """How many milliseconds processes ran, and waited for a processor, since their start."""

    ran: float
    waited: float


def scheduled(pids: Collection[int]) -> Scheduled:
    """Return the times of the main threads of ``pids`` together, which Linux counts in nanoseconds."""
    times = [Path(f"/proc/{pid}/schedstat").read_text().split() for pid in pids]
    return Scheduled(sum(int(ran) for ran, _, _ in times) / 1e6, sum(int(waited) for _, waited, _ in times) / 1e6)


def pss_kb(pid: int) -> float:
    """Return the proportional set size of a process and its children: shared pages count in parts."""
    total = 0.0
    for one in _trees([pid]):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += float(line.split()[1])
    return total


def _trees(pids: Collection[int]) -> list[int]:
    found: list[int] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return found
