"""Ports that nobody listens on, and that no two platforms on one machine are given at once.

A port that is free now is taken by a server only some time later. Who was given it is written down until then, so
that another start in between (two platforms, or tests that run at the same time) does not draw the same one.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

import psutil

from notifyx_common.errors import NotifyxError

PORTS = range(20_000, 30_000)
"""Below the range that systems take the ports of outgoing connections from: one of those could have it by the time
a server starts, or starts again."""


class NoFreePort(NotifyxError):
    """Every port that was tried is in use."""

    code = "no_free_port"


def free_port(folder: Path | None = None) -> int:
    """A port nobody listens on now, on the loopback address; this process's own for as long as it lives.

    ``folder`` is where that is written down; by default one of this user in the system's temporary folder.
    Raises :class:`NoFreePort`.
    """
    claims = folder or Path(tempfile.gettempdir()) / f"notifyx-ports-{os.getuid()}"
    claims.mkdir(mode=0o700, exist_ok=True)
    with open(claims / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for port in random.sample(PORTS, min(len(PORTS), 500)):
            claim = claims / str(port)
            if not _claimed(claim) and _free(port):
                claim.write_text(_this_process())
                return port
    raise NoFreePort(f"No free port was found between {PORTS.start} and {PORTS.stop}.")


def _this_process() -> str:
    process = psutil.Process()
    return f"{process.pid} {process.create_time()}"


def _claimed(claim: Path) -> bool:
    """Whether a process that still runs was given the port. Process ids come back; with the start time they do not."""
    try:
        pid, started = claim.read_text().split()
        return bool(psutil.Process(int(pid)).create_time() == float(started))
    except (OSError, ValueError, psutil.NoSuchProcess):
        return False


def _free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
