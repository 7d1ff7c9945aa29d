"""Samples the platform's Python processes with py-spy while a case is measured."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from bench.case import kind
from bench.errors import CannotMeasure
from bench.load import RATE, Observe
from bench.machine import CLIENT, cpu_of, on_cores, scheduled
from bench.peers.peer import python_package
from bench.profiling.stacks import read
from bench.profiling.table import Profile

PACKAGE = "py-spy==0.4.2"
START = 30.0
"""Seconds in which a sampler is attached, and in which it has written what it has seen."""
FIRST = -15
"""Niceness of a sampler, where it may have one."""
ATTACHED = b"Sampling process"
"""What it prints then."""


def profiler(folder: Path, say: Callable[[str], None], *, native: bool) -> Profiler:
    """Return a profiler that writes to ``folder``; raises :class:`NoPeer` where py-spy cannot be had."""
    return Profiler(folder, python_package(PACKAGE, "py-spy", say), native)


@dataclass(slots=True)
class Profiler:
    """Keeps folded stacks in ``folder``, one file for each process and measurement, and adds them up by case.

    ``program`` is a py-spy. ``native``: what compiled code does is seen, too, for which each sample stops its process.
    """

    folder: Path
    program: Path
    native: bool = False
    profiles: dict[str, dict[str, Profile]] = field(default_factory=lambda: defaultdict(dict))
    """By case, and then by kind of process."""
    _measured: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def of(self, case: str) -> Observe:
        """Return what observes the measurements of ``case``."""
        return partial(self._observing, case)

    @contextlib.contextmanager
    def _observing(self, case: str, processes: Mapping[str, int], rate: int = RATE) -> Iterator[None]:
        """Sample the processes that run Python while the block is entered, ``rate`` times a second."""
        self._measured[case] += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {
            name: self.folder / f"{case}.{name}.{self._measured[case]}.folded"
            for name, pid in processes.items()
            if _is_python(pid)
        }
        with contextlib.ExitStack() as stack:
            samplers = [stack.enter_context(self._sampler(processes[name], path, rate)) for name, path in files.items()]
            for sampler in samplers:
                sampler.wait_attached()
            before, waits = cpu_of(processes), {name: scheduled([processes[name]]) for name in files}
            yield
            after = cpu_of(processes)
            for name in files:
                profile = self.profiles[case].setdefault(kind(name), Profile())
                now = scheduled([processes[name]])
                profile.ran += now.ran - waits[name].ran
                profile.waited += now.waited - waits[name].waited
            for sampler in samplers:
                sampler.process.send_signal(signal.SIGINT)
            for sampler in samplers:
                sampler.wait_written()
        for name in processes:
            profile = self.profiles[case].setdefault(kind(name), Profile())
            profile.seconds += after[name] - before[name]
            if name in files and files[name].exists():  # there is no file where nothing ran
                profile.stacks += read(files[name].read_text(errors="replace"))

    @contextlib.contextmanager
    def _sampler(self, pid: int, path: Path, rate: int) -> Iterator[_Sampler]:
        """Attach a py-spy to ``pid``, on the load client's core; it is ended with the block."""
        path.unlink(missing_ok=True)
        command: list[str | Path] = [
            self.program, "record", "--native" if self.native else "--nonblocking", "--full-filenames",
            "--format", "raw", "--rate", str(rate), "--pid", str(pid), "--output", path,
        ]  # fmt: skip
        with on_cores(CLIENT):
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        if self.native:  # a sampler that waits for a processor keeps its process stopped
            with contextlib.suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, process.pid, FIRST)
        with process:
            try:
                yield _Sampler(process)
            finally:
                process.kill()


def _is_python(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return "python" in Path(psutil.Process(pid).exe()).name
    return False


@dataclass(frozen=True, slots=True)
class _Sampler:
    """A py-spy that runs."""

    process: subprocess.Popen[bytes]

    def wait_attached(self) -> None:
        """Wait until it samples; raises :class:`CannotMeasure` where it cannot."""
        assert self.process.stdout is not None
        said, until = b"", time.monotonic() + START
        while ATTACHED not in said:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not more:
                raise CannotMeasure(f"py-spy did not attach: {said[-900:].decode(errors='replace').strip()}")
            said += more

    def wait_written(self) -> None:
        """Wait until it has ended."""
        said, _ = self.process.communicate(timeout=START)
        if self.process.returncode:
            raise CannotMeasure(f"py-spy failed: {said[-900:].decode(errors='replace').strip()}")
