"""Programs in processes forked from one that has imported them: the import is most of a short life's time.

Each runs its own entry point in a process of its own. That programs also start as their users start them is what a few
tests of whole platforms show. A run in several workers has one such process for all, which has collected the tests too
(:mod:`support.workers`); a run in one process starts one when it needs it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

from support.child import child
from support.measured import measured
from support.patience import PATIENCE
from support.run_folder import run_folder

ADDRESS = "NOTIFYX_TEST_FORK_SERVER"
"""The variable with the address of the process that forks, where it is not this process's own."""

_STARTING = threading.Lock()
_OWN = contextlib.ExitStack()
atexit.register(_OWN.close)


class Forked:
    """A forked process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.pid: int = connection.recv()
        """Its process id."""
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; ``None`` while it runs."""
        return self._code if self._code is not None or not self._connection.poll() else self._read()

    def poll(self) -> int | None:
        """Return its exit code, as a :class:`subprocess.Popen` does."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end: its exit code. Raises :class:`TimeoutError`."""
        if self._code is None and not self._connection.poll(timeout):
            raise TimeoutError
        return self._read() if self._code is None else self._code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> int:
        try:
            self._code = self._connection.recv()
        except (EOFError, ConnectionError):
            raise AssertionError("the process that forks was lost") from None
        self._connection.close()
        assert self._code is not None
        return self._code


@contextlib.contextmanager
def fork_server(*collected: str) -> Iterator[str]:
    """Run a process that forks; yield its address. ``collected``: pytest's arguments, whose tests it collects."""
    temporary = tempfile.TemporaryDirectory(prefix="forks-", dir=run_folder())
    with temporary as folder, socket.socket(socket.AF_UNIX) as listener:
        address = f"{folder}/socket"
        listener.bind(address)
        listener.listen(64)
        path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        server = child(
            [sys.executable, "-m", "support.fork_server", str(listener.fileno()), *collected],
            orphan_signal=signal.SIGTERM if collected else None,  # while it collects, it does not look at its input
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), ADDRESS: address}, pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        listener.close()
        try:
            yield address
        finally:
            assert server.stdin is not None
            server.stdin.close()
            server.wait()


def fork(target: Callable[..., None], *arguments: Any, files: Sequence[int] = (), address: str = "") -> Forked:
    """Run ``target``, which a module of its own has, with copies of ``files`` and with ``arguments``."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address or _address())
        connection = Connection(client.detach())
    connection.send((target, arguments, len(files)))
    for file in files:
        send_handle(connection, file, 0)
    return Forked(connection)


def _address() -> str:
    with _STARTING:
        if ADDRESS not in os.environ:
            os.environ[ADDRESS] = _OWN.enter_context(fork_server())
        return os.environ[ADDRESS]


def program(module: str, environment: Mapping[str, str], log: Path, *arguments: str, output: bool = False) -> Forked:
    """Run the ``main`` of ``module`` in ``environment``; its errors (and its ``output``) are added to ``log``."""
    return fork(_main, module, dict(environment), log, arguments, output)


def ended(module: str, environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run the ``main`` of ``module`` to its end; return its exit code and its errors."""
    with tempfile.TemporaryDirectory(dir=run_folder()) as folder:
        log = Path(folder) / "log"
        return program(module, environment, log, *arguments).wait(PATIENCE), log.read_text()


def _main(module: str, environment: dict[str, str], log: Path, arguments: tuple[str, ...], output: bool) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with open(log, "ab") as errors:
        os.dup2(errors.fileno(), 2)
        if output:
            os.dup2(errors.fileno(), 1)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = [module, *arguments]
    with measured():
        importlib.import_module(module).main()
