"""A process that has imported what tests run, and forks it: ``python -m support.fork_server SOCKET [ARGUMENT...]``.

``SOCKET`` is the descriptor of a listening socket. With arguments, which are pytest's, it collects those tests too.
It has one thread. It ends when its standard input does. :mod:`support.forked` is the other side.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle
from typing import Any

import pytest

from support.measured import start

PROGRAMS = (
    "notifyx.cli.app", "notifyx_local.main", "notifyx_gateway.app", "notifyx_auth.app", "notifyx_store.app",
    "notifyx_mailer.app", "notifyx_mailbox.app", "support.warm_command",
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
    while True:
        for ready in wait([listener, sys.stdin.fileno(), *running]):
            if ready is listener:
                client = Connection(listener.accept()[0].detach())
                with contextlib.suppress(EOFError, ConnectionError):  # who asks may be killed
                    _fork(listener, client, running)
            elif ready in running:
                process, client = running.pop(ready)
                process.join()
                with client, contextlib.suppress(ConnectionError):
                    client.send(process.exitcode)
            else:
                os._exit(0)  # those that still run are others' business


def _fork(listener: socket.socket, client: Connection, running: dict[int, tuple[BaseProcess, Connection]]) -> None:
    target, given, files = client.recv()
    handles = [recv_handle(client) for _ in range(files)]
    others = [listener, client, *(other for _, other in running.values())]
    process = _FORK.Process(target=_run, args=(others, target, handles, given))
    process.start()
    running[process.sentinel] = (process, client)
    for handle in handles:
        os.close(handle)
    client.send(process.pid)


def _run(
    others: list[socket.socket | Connection], target: Callable[..., None], handles: list[int], given: tuple[Any, ...]
) -> None:
    for inherited in others:  # while they are open, nobody notices that this server has ended
        inherited.close()
    target(*handles, *given)


if __name__ == "__main__":
    main()
