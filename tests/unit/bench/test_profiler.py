"""The profiler of `make bench`: when it samples, which processes, and what it keeps."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench.errors import CannotMeasure
from bench.load import RATE, running
from bench.profiling.profiler import Profiler
from bench.profiling.stacks import Frame

STACK = "write (/x/src/notifyx_store/log/publish.py:1)"
SAMPLER = f"""
import pathlib, signal, sys

def write(*_):
    pathlib.Path(sys.argv[-1]).write_text("{STACK} 4\\n")
    sys.exit()

signal.signal(signal.SIGINT, write)
print("py-spy> Sampling process 100 times a second.", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def _no_python() -> Iterator[int]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process.pid


def _program(folder: Path, text: str) -> Path:
    program = folder / "py-spy"
    program.write_text(text)
    program.chmod(0o700)
    return program


def _sampler(folder: Path) -> Path:
    """Return a program that runs :data:`SAMPLER`; no path with spaces may stand after ``#!``."""
    return _program(folder, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(SAMPLER)} "$@"\n')


def test_python_processes_are_sampled_until_the_measurement_ends_and_added_up_by_kind(tmp_path: Path) -> None:
    profiler = Profiler(tmp_path / "stacks", _sampler(tmp_path))
    with _no_python() as other:
        for _ in range(2):
            with profiler.of("publish")({"store-1": os.getpid(), "store-2": os.getpid(), "postgres": other}):
                pass
    assert sorted(path.name for path in profiler.folder.iterdir()) == [
        f"publish.store-{store}.{measured}.folded" for store in (1, 2) for measured in (1, 2)
    ]
    found = profiler.profiles["publish"]
    assert {name: profile.stacks.total() for name, profile in found.items()} == {"store": 16, "postgres": 0}
    assert list(found["store"].stacks) == [(Frame("write", "/x/src/notifyx_store/log/publish.py"),)]


def test_a_sampler_that_cannot_attach_is_the_reason_why_nothing_is_measured(tmp_path: Path) -> None:
    profiler = Profiler(tmp_path, _program(tmp_path, "#!/bin/sh\necho 'Error: Permission denied'\nexit 1\n"))
    with pytest.raises(CannotMeasure, match="did not attach: Error: Permission denied"):
        profiler.of("publish")({"store": os.getpid()}).__enter__()


def test_of_a_load_client_only_the_measured_phase_is_observed() -> None:
    seen: list[object] = []

    @contextlib.contextmanager
    def observe(processes: Mapping[str, int], rate: int = RATE) -> Iterator[None]:
        seen.append(dict(processes))
        yield
        seen.append("end")

    client = """echo '{"phase": 0}'; while read go; do echo '{"phase": 1}'; done"""
    with running(Path("/bin/sh"), ["-c", client]) as load:
        load.figures()
        load.next()
        load.figures()
        assert seen == []
        assert load.measured({"me": os.getpid()}, observe) == {"phase": 1}
        assert seen == [{"me": os.getpid()}, "end"]
