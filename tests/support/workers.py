"""Workers of pytest-xdist forked from a process that has collected the tests.

Each worker collects all tests. In a fork that costs a second; where it has to import, and measure, all that they import
it costs five, and in a fresh clone, which has no bytecode, fifteen.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from execnet import gateway_base, gateway_io, xspec

from support.child import child
from support.forked import Forked, fork, fork_server


class ForkedIO(gateway_io.Popen2IOMaster):
    """A worker's pipes, as execnet makes them for a program that it starts."""

    def __init__(self, process: Forked, outgoing: int, incoming: int, execmodel: gateway_base.ExecModel) -> None:
        # Its base class starts a program.
        gateway_base.Popen2IO.__init__(self, os.fdopen(outgoing, "wb"), os.fdopen(incoming, "rb"), execmodel)
        self._process = process

    def wait(self) -> int | None:
        """Wait for the worker's end."""
        return self._process.wait()

    def kill(self) -> None:
        """Kill the worker."""
        self._process.kill()


@contextlib.contextmanager
def forked_workers(*collected: str) -> Iterator[None]:
    """Let workers be forked while the block is entered. ``collected``: the run's arguments."""
    before = gateway_io.create_io
    with fork_server(*collected) as address:

        def create(spec: xspec.XSpec, execmodel: gateway_base.ExecModel) -> gateway_io.Popen2IOMaster:
            theirs, outgoing = os.pipe()
            incoming, also_theirs = os.pipe()
            process = fork(_worker, files=[theirs, also_theirs], address=address)
            os.close(theirs)
            os.close(also_theirs)
            return ForkedIO(process, outgoing, incoming, execmodel)

        gateway_io.create_io = create
        try:
            yield
        finally:
            gateway_io.create_io = before


@contextlib.contextmanager
def web_build() -> Iterator[None]:
    """Build the web client beside what the block does. Tests that need it wait for it, and say why it failed."""
    command = [sys.executable, "-m", "support.web", "build"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = child(
        command, orphan_signal=signal.SIGTERM, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _worker(incoming: int, outgoing: int) -> None:
    """Do what the program that execnet starts does: run the line of code that it reads."""
    for file, number in ((incoming, 0), (outgoing, 1)):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", buffering=1, closefd=False)
    sys.argv = ["-c"]
    gc.set_threshold(1_000_000)  # what it collects stays; the conftest sets another one when it has
    exec(eval(sys.stdin.readline()), {"__name__": "__main__"})
