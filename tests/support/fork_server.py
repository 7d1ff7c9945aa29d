"""A process that has imported what tests run, and forks it: ``python -m support.fork_server SOCKET [ARGUMENT...]``.

``SOCKET`` is the descriptor of a listening socket. With arguments, which are pytest's, it collects those tests too.
It has one thread. It ends when its standard input does, and what it forked ends then, too: each fork is the leader of
a process group, and that is killed when the fork has ended, when who asked for it has ended, and when this process
does. So nothing outlives a run that is killed, nor a worker. :mod:`support.forked` is the other side.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle
from typing import Any, NoReturn

import pytest

from notifyx_local.parent_death import die_with_parent
from support.measured import start

PROGRAMS = (
    "notifyx.cli.app", "notifyx_local.main", "notifyx_gateway.app", "notifyx_auth.app", "notifyx_store.app",
    "notifyx_mailer.app", "notifyx_mailbox.app", "support.quick_up", "support.warm_command",
)  # fmt: skip
_FORK = multiprocessing.get_context("fork")


def main() -> None:
    """Import, then fork for whoever connects."""
    gc.disable()  # nearly all that is imported and collected stays
    listening, *arguments = sys.argv[1:]
    if arguments:
        pytest.main([*arguments, "-n0", "--collect-only", "-qq"])  # which starts the measurement where it wants to
    else:
        start()
    for module in PROGRAMS:
        importlib.import_module(module)
    if (measurement := start()) is not None:
        measurement.save()
    gc.collect()
    gc.freeze()  # a collection of garbage would write to the shared memory
    gc.enable()
    with socket.socket(fileno=int(listening)) as listener:
        _serve(listener)


def _serve(listener: socket.socket) -> None:
    running: dict[int, tuple[BaseProcess, Connection]] = {}
    asking: dict[Connection, BaseProcess] = {}
    signal.signal(signal.SIGTERM, lambda *_: _end(running))
    while True:
        for ready in wait([listener, sys.stdin.fileno(), *running, *asking]):
            if ready is listener:
                client = Connection(listener.accept()[0].detach())
                with contextlib.suppress(EOFError, ConnectionError):  # who asks may be killed
                    _fork(listener, client, running, asking)
            elif ready in running:
                process, client = running.pop(ready)
                asking.pop(client, None)
                _kill(process)  # what it has started
                process.join()
                with client, contextlib.suppress(ConnectionError):
                    client.send(process.exitcode)
            elif ready in asking:  # who asked has ended: they send nothing
                _kill(asking.pop(ready))
            elif ready == sys.stdin.fileno():
                _end(running)


def _end(running: dict[int, tuple[BaseProcess, Connection]]) -> NoReturn:
    for process, _ in running.values():
        _kill(process)
    os._exit(0)


def _kill(process: BaseProcess) -> None:
    """Kill a process that is not joined yet, so that its number is its own, with the group that it leads."""
    assert process.pid is not None
    for kill in (os.kill, os.killpg):  # it may not lead a group yet, and there may be none any more
        with contextlib.suppress(ProcessLookupError):
            kill(process.pid, signal.SIGKILL)


def _fork(
    listener: socket.socket,
    client: Connection,
    running: dict[int, tuple[BaseProcess, Connection]],
    asking: dict[Connection, BaseProcess],
) -> None:
    target, given, files = client.recv()
    handles = [recv_handle(client) for _ in range(files)]
    others = [listener, client, *(other for _, other in running.values())]
    process = _FORK.Process(target=_run, args=(os.getpid(), others, target, handles, given))
    process.start()
    running[process.sentinel] = (process, client)
    asking[client] = process
    for handle in handles:
        os.close(handle)
    client.send(process.pid)


def _run(
    server: int, others: list[socket.socket | Connection], target: Callable[..., None], handles: list[int],
    given: tuple[Any, ...],
) -> None:  # fmt: skip
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if (end := die_with_parent(signal.SIGKILL, server)) is not None:
        end()
    for inherited in others:  # while they are open, nobody notices that this server has ended
        inherited.close()
    target(*handles, *given)


if __name__ == "__main__":
    main()
