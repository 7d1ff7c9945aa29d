"""The lock of a data folder: one run at a time uses it, and no platform runs on half a restore."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from notifyx_common.errors import NotifyxError


class AlreadyRunning(NotifyxError):
    """Another run uses the data folder."""

    code = "already_running"


class RestoreUnfinished(NotifyxError):
    """A restore into the data folder did not end."""

    code = "restore_unfinished"


_RESTORING = "restoring"
"""This file is in the folder while something is restored into it, and when that was killed."""


@contextlib.contextmanager
def restoring(folder: Path) -> Iterator[None]:
    """Let no platform start on ``folder`` if this process is killed in the block."""
    mark = folder / _RESTORING
    mark.touch()
    try:
        yield
    finally:
        mark.unlink()


def check_restored(folder: Path) -> None:
    """Raise :class:`RestoreUnfinished` if a restore into ``folder`` was killed."""
    if (folder / _RESTORING).exists():
        raise RestoreUnfinished(
            f"A restore into {folder} did not end; run `notifyx restore` again, or choose another folder with --data."
        )


@contextlib.contextmanager
def lock_data_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``, which exists. Raises :class:`AlreadyRunning`."""
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(
                f"Notifyx already runs on {folder}; stop it, or choose another folder with --data."
            ) from None
        yield
