"""The load clients in C: built once, and run in phases, between which the tool reads processor time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from bench.errors import CannotMeasure, LostDeliveries
from bench.machine import CORES, cpu_of, cpu_seconds, on_cores

SOURCES = Path(__file__).parent / "c"
PROGRAMS = ("reference", "loadclient", "httpload", "busy")
PATIENCE = 180.0
"""Seconds after which a load client is ended, whatever it waits for."""

RATE = 100
"""Samples a second of a profiler."""


class Observe(Protocol):
    """What else happens while something is measured: nothing, or a profiler samples the processes."""

    def __call__(self, processes: Mapping[str, int], rate: int = RATE) -> AbstractContextManager[None]:
        """Return a block in which ``processes``, by name, are sampled ``rate`` times a second."""
        ...


def unobserved(processes: Mapping[str, int], rate: int = RATE) -> AbstractContextManager[None]:
    """Return a block in which nothing else happens."""
    return contextlib.nullcontext()


def build(folder: Path) -> dict[str, Path]:
    """Compile the programs into ``folder``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotMeasure("make bench needs a C compiler; on Debian and Ubuntu: apt-get install gcc libc6-dev")
    for name in PROGRAMS:
        subprocess.run([compiler, "-O2", "-pthread", "-o", folder / name, SOURCES / f"{name}.c"], check=True)
    return {name: folder / name for name in PROGRAMS}


class Load:
    """A running load client. Each phase ends with its figures; :meth:`next` begins the next one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.cpu: dict[str, float] = {}
        """Processor time of the last measured phase, by process; that of the load client is ``client``."""

    def figures(self) -> dict[str, float]:
        """Wait for the end of the current phase and return its figures."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate(timeout=PATIENCE)
            raise CannotMeasure(f"the load client failed: {errors.strip()[-900:]}")
        found: dict[str, float] = json.loads(line)
        return found

    def next(self) -> None:
        """Begin the next phase."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def measured(self, processes: Mapping[str, int], observe: Observe = unobserved) -> dict[str, float]:
        """Begin the next phase, and return its figures; :attr:`cpu` has the processor time of ``processes``."""
        with observe(processes):
            before = self.used(processes)
            self.next()
            found = self.figures()
            after = self.used(processes)
        self.cpu = {name: after[name] - before[name] for name in before}
        return found

    def used(self, processes: Mapping[str, int]) -> dict[str, float]:
        """Return the processor time of ``processes`` and of the load client (``client``) since they began."""
        return {**cpu_of(processes), "client": cpu_seconds(self._process.pid)}


@contextlib.contextmanager
def running(
    program: Path,
    arguments: Sequence[str | Path],
    *,
    tokens: Sequence[str] = (),
    cores: Collection[int] = CORES,
    apart: bool = False,
) -> Iterator[Load]:
    """Run a load client; it is ended with the block.

    ``apart``: in a session of its own, as the platform is. Linux may share processors between sessions first.
    """
    environment = {**os.environ, **({"NOTIFYX_TOKENS": ",".join(tokens)} if tokens else {})}
    command = ["timeout", "--foreground", str(PATIENCE), program, *arguments]
    with on_cores(cores):
        process = subprocess.Popen(
            command, env=environment, text=True, start_new_session=apart,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    try:
        yield Load(process)
    finally:
        process.terminate()
        process.communicate()


def complete(found: Mapping[str, float]) -> None:
    """Raise :class:`LostDeliveries` where something was refused or has not arrived, which no figure can excuse."""
    lost = found["done"] < found["expected"] or found.get("echoed", 0) > found.get("deliveries", 0)
    if lost or found.get("refused") or found.get("closed"):
        raise LostDeliveries(f"messages were refused or are missing, which no figure can excuse: {dict(found)}")
