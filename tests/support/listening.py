"""Servers of tests, each a process that listens on a port of this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable

from support.patience import PATIENCE


def wait_until_listening(process: subprocess.Popen[bytes], port: int, why: Callable[[], str]) -> None:
    """Wait until ``process`` takes connections; ``why`` returns what it said, if it ends before."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, why()
            assert time.monotonic() < until, f"nothing takes connections on port {port}"
            time.sleep(0.02)
        else:
            return


class Server:
    """One that can be killed, frozen and started again on its port."""

    port: int
    process: subprocess.Popen[bytes] | None

    def signal(self, number: signal.Signals) -> None:
        """Freeze (SIGSTOP) or thaw (SIGCONT) it."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None
