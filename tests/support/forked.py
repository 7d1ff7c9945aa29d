"""Programs in processes forked from one that has imported them: the import is most of a short life's time.

Each runs its own entry point in a process of its own. That programs also start as their users start them is what the
tests of whole platforms show.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from support.measured import measured

IMPORTED = ["support.warm_command", "notifyx.cli.app", "notifyx_mailer.app"]
"""What the process that is forked imports: there is one, for all that a worker runs."""

_STARTING = threading.Lock()


class Forked:
    """A forked process."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; ``None`` while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end: its exit code. Raises :class:`TimeoutError`."""
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.returncode is None:
            os.kill(self.pid, number)


def fork(target: Callable[..., None], *arguments: Any) -> Forked:
    """Run ``target``, which a module of its own has, with ``arguments``."""
    _start_fork_server()
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    return Forked(process)


def _start_fork_server() -> None:
    """Start the process that is forked, if it does not run. By itself it would not find the package ``support``."""
    with _STARTING:
        multiprocessing.set_forkserver_preload(IMPORTED)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        try:
            forkserver.ensure_running()
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before


def program(module: str, environment: Mapping[str, str], log: Path) -> Forked:
    """Run the ``main`` of ``module`` in ``environment``; what it writes as errors is added to ``log``."""
    return fork(_main, module, dict(environment), log)


def _main(module: str, environment: dict[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with open(log, "ab") as errors:
        os.dup2(errors.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = [module]
    with measured():
        importlib.import_module(module).main()
