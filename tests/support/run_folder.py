"""The folder of a test run, with the data of all servers that it starts: in memory where there is room.

A run that is killed leaves its folder. The next run removes it: a folder is locked as long as its run lives.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "NOTIFYX_TEST_FOLDER"
"""The variable with the folder, for the processes of a run."""

PYTEST = "PYTEST_DEBUG_TEMPROOT"
"""pytest's variable with the folder of ``tmp_path``: a file that is new on a busy disk costs up to a millisecond."""

PREFIX = "notifyx-run-"

MEMORY = Path("/dev/shm")
DISK = Path("/var/tmp")
ROOM = 2 << 30
"""Bytes that have to be free in memory."""

_OWN = contextlib.ExitStack()
atexit.register(_OWN.close)


def run_folder() -> Path:
    """Return the folder of the run that this process belongs to, or else one of this process's own.

    Other accounts can enter it.
    """
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(_OWN.enter_context(new_run_folder()))
    return Path(os.environ[VARIABLE])


@contextlib.contextmanager
def run_folder_of_all() -> Iterator[None]:
    """Make the folder of this process and of all that it starts; remove it when the block is left."""
    before = {name: os.environ.get(name) for name in (VARIABLE, PYTEST)}
    with new_run_folder() as folder:
        os.environ.update({VARIABLE: str(folder), PYTEST: before[PYTEST] or str(folder)})
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


@contextlib.contextmanager
def new_run_folder(memory: Path = MEMORY, disk: Path = DISK) -> Iterator[Path]:
    """Remove the folders of runs that have ended, then make one that is locked until the block is left.

    It is in memory where there is room and programs may be run: to make and drop a database's many files takes disks
    long. What a killed server has synced survives there too, as on a disk.
    """
    for parent in (memory, disk):
        remove_ended(parent)
    folder, lock = _locked(memory if _serves(memory) else disk)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_ended(parent: Path) -> None:
    """Remove the folders in ``parent`` whose runs have ended, but for those of other users."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _opened(folder) as lock:  # another run may remove it
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _serves(memory: Path) -> bool:
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return False
    system = os.statvfs(memory)
    return not system.f_flag & os.ST_NOEXEC and system.f_bavail * system.f_frsize > ROOM


def _locked(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it; the lock is a file descriptor, which ends with this process."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # a run that starts at this moment may have removed it before it was locked
            folder.chmod(0o755)
            return folder, lock
        os.close(lock)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)
