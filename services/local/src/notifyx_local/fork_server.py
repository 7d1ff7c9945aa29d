"""The fork server: a process that has imported the services and forks each of them.

A start then costs no import, and the memory of what is imported is shared. The process has no thread and no event loop.
It ends with ``notifyx up``, and what it forked ends with it. :mod:`notifyx_local.forks` is its other end.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from setproctitle import setproctitle

from notifyx_common import start
from notifyx_local.parent_death import die_with_parent

FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Start:
    """Asks to run the ``main`` of ``module`` in a new process. The answer repeats ``number``."""

    number: int
    name: str
    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: str
    cwd: str
    orphan_signal: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Asks to send the signal ``number`` to a process, unless it has ended."""

    pid: int
    number: int


@dataclass(frozen=True, slots=True)
class Started:
    """Answers :class:`Start`."""

    number: int
    pid: int


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Answers :class:`Start` if the system has no room for another process."""

    number: int
    errno: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Tells that a process has ended, with its exit code, which is negative for a signal."""

    pid: int
    code: int


def serve(connection: Connection, other_end: Connection, parent: int, modules: tuple[str, ...]) -> None:
    """Import ``modules``, then do what ``parent`` asks until it closes the connection."""
    other_end.close()  # it was inherited: while it is open here, its end is not noticed
    os.setsid()  # Ctrl-C in a terminal is for `notifyx up`
    _end_with(parent, signal.SIGKILL)
    setproctitle("notifyx: fork server")
    # What is imported is frozen: a collection of garbage would write to memory that is shared.
    start.load(*modules)
    running: list[BaseProcess] = []
    while True:
        for ready in wait([connection, *(process.sentinel for process in running)]):
            if ready is connection:
                try:
                    request = connection.recv()
                except EOFError:
                    for process in running:
                        process.kill()
                    return
                if isinstance(request, Signal):
                    _send_signal(running, request)
                else:
                    _start(connection, running, request)
        for process in [process for process in running if process.exitcode is not None]:
            running.remove(process)
            connection.send(Ended(_pid(process), process.exitcode or 0))
            process.close()


def _end_with(parent: int, number: signal.Signals) -> None:
    """Let the signal ``number`` end this process when its parent ends."""
    if (die := die_with_parent(number, parent)) is not None:
        die()


def _start(connection: Connection, running: list[BaseProcess], request: Start) -> None:
    process = FORK.Process(target=_run, args=(connection, request, os.getpid()))
    try:
        process.start()
    except OSError as error:
        connection.send(NotStarted(request.number, error.errno or 0))
    else:
        running.append(process)
        connection.send(Started(request.number, _pid(process)))


def _send_signal(running: list[BaseProcess], request: Signal) -> None:
    for process in running:
        # A process id belongs to its process until its exit code was read.
        if process.pid == request.pid and process.is_alive():
            os.kill(request.pid, request.number)


def _pid(process: BaseProcess) -> int:
    assert process.pid is not None
    return process.pid


def _run(connection: Connection, start: Start, server: int) -> None:
    """Become the process that ``start`` describes."""
    connection.close()
    os.setsid()
    _end_with(server, signal.Signals(start.orphan_signal))
    setproctitle(f"notifyx: {start.name}")
    os.environ.clear()
    os.environ.update(start.environment)
    os.chdir(start.cwd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(start.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number, file in enumerate((nothing, log, log)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(log)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - they live as long as the process
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115 - as above
    sys.argv = [f"notifyx-{start.name}", *start.arguments]
    importlib.import_module(start.module).main()
