"""Reserves free ports, so that two platforms on one machine never get the same one.

A server binds its port some time after it was chosen. Until then a file records the reservation, so that another start
in between (a second platform, or tests that run at the same time) does not choose the same port.
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

PORT_RANGE = range(20_000, 30_000)
"""Below the range of ephemeral ports: an outgoing connection could use one of those before a server starts."""


class NoFreePort(NotifyxError):
    """All ports that were tried are in use."""

    code = "no_free_port"


def free_port(folder: Path | None = None) -> int:
    """Reserve a free port on the loopback address, for the lifetime of this process.

    ``folder`` holds the reservations; by default a folder of this user in the system's temporary folder.
    Raises :class:`NoFreePort`.
    """
    reservations = folder or Path(tempfile.gettempdir()) / f"notifyx-ports-{os.getuid()}"
    reservations.mkdir(mode=0o700, exist_ok=True)
    with open(reservations / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for port in random.sample(PORT_RANGE, min(len(PORT_RANGE), 500)):
            reservation = reservations / str(port)
            if not _is_reserved(reservation) and _free(port):
                reservation.write_text(_process_identity())
                return port
    raise NoFreePort(f"No free port was found between {PORT_RANGE.start} and {PORT_RANGE.stop}.")


def _process_identity() -> str:
    process = psutil.Process()
    return f"{process.pid} {process.create_time()}"


def _is_reserved(reservation: Path) -> bool:
    """Return whether a running process has reserved the port. Process ids are reused, so the start time counts too."""
    try:
        pid, started = reservation.read_text().split()
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
