"""Processes that outlive the command which started them, remembered in files.

Process ids come back: a file that is older than the machine's last start could name anybody. With its start time a
process is nobody else.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path


def detached(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a process in a session of its own that nobody here waits for; its process id."""
    actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    whole = {**os.environ, **(env or {})}
    return os.posix_spawnp(command[0], list(command), whole, file_actions=actions, setsid=True)


def remember(file: Path, pid: int) -> None:
    """Write down who ``pid`` is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{pid} {_start(pid)}")


def remembered(file: Path) -> int | None:
    """The process id, if that process still lives."""
    try:
        pid, start = file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _start(int(pid)) == start else None


def end(file: Path, number: signal.Signals) -> None:
    """Send the remembered process a signal, if it still lives."""
    pid = remembered(file)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _start(pid: int) -> str:
    """The start time of a process in clock ticks; empty for one that ended (proc(5), /proc/pid/stat, field 22)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
