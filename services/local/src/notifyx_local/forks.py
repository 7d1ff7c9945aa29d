"""Starts processes through the fork server (:mod:`notifyx_local.fork_server`), as :mod:`asyncio.subprocess` does.

If the fork server is lost, so is all that it ran. It is not replaced: later processes start as programs.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterable
from typing import Self

from notifyx_local.fork_server import FORK, Ended, NotStarted, Signal, Start, serve
from notifyx_local.processes import ProcessSpec


class ForkServer:
    """The fork server, which runs while the block is entered: before there is an event loop or another thread."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = tuple(modules)
        self._running = False
        self._watching = False
        self._processes: dict[int, ForkedProcess] = {}
        self._starting: dict[int, asyncio.Future[ForkedProcess | None]] = {}
        self._last_number = 0

    def __enter__(self) -> Self:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = FORK.Process(target=serve, args=(theirs, self._connection, os.getpid(), self._modules))
        self._process.start()
        theirs.close()
        self._running = True
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    async def start(self, spec: ProcessSpec) -> ForkedProcess | None:
        """Start a process; return ``None`` if the fork server does not run any more. Raises :class:`OSError`."""
        loop = asyncio.get_running_loop()
        if self._running and not self._watching:
            self._watching = True
            loop.add_reader(self._connection.fileno(), self._receive)
        self._last_number += 1
        answer: asyncio.Future[ForkedProcess | None] = loop.create_future()
        self._starting[self._last_number] = answer
        self._send(
            Start(
                number=self._last_number,
                name=spec.name,
                module=spec.module,
                arguments=spec.command[1:],
                environment=spec.environment,
                log=str(spec.log),
                cwd=str(spec.cwd),
                orphan_signal=spec.orphan_signal,
            )
        )
        return await answer

    def send_signal(self, pid: int, number: int) -> None:
        """Let the fork server send a signal: it knows whether the process id still belongs to the process."""
        self._send(Signal(pid, number))

    def _send(self, request: Start | Signal) -> None:
        try:
            if self._running:
                self._connection.send(request)
        except OSError:
            self._running = False
        if not self._running:
            self._lose()

    def _receive(self) -> None:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            self._lose()
            return
        if isinstance(answer, Ended):
            self._processes.pop(answer.pid).end(answer.code)
            return
        starting = self._starting.pop(answer.number)
        if isinstance(answer, NotStarted):
            if not starting.done():
                starting.set_exception(OSError(answer.errno, os.strerror(answer.errno)))
            return
        process = self._processes[answer.pid] = ForkedProcess(answer.pid, self)
        if not starting.done():
            starting.set_result(process)

    def _lose(self) -> None:
        """Record that the fork server has ended, and what it ran with it."""
        self._running = False
        if self._watching:
            self._watching = False
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
        for process in self._processes.values():
            process.end(-signal.SIGKILL)
        for starting in self._starting.values():
            if not starting.done():
                starting.set_result(None)
        self._processes.clear()
        self._starting.clear()


class ForkedProcess:
    """A process that the fork server runs. It is used like one of :mod:`asyncio.subprocess`."""

    def __init__(self, pid: int, server: ForkServer) -> None:
        self.pid = pid
        self._server = server
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs."""
        return self._end.result() if self._end.done() else None

    async def wait(self) -> int:
        """Wait for the end; return the exit code."""
        return await asyncio.shield(self._end)

    def send_signal(self, number: int) -> None:
        """Send a signal; one that has ended gets none."""
        if not self._end.done():
            self._server.send_signal(self.pid, number)

    def end(self, code: int) -> None:
        """Record the end."""
        self._end.set_result(code)
