"""Where archives are kept, and the one place that needs no library: a folder.

An archive gets its name only when it is whole and on the disk, so that whatever has the name of an archive is one.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

from notifyx_backup.errors import PlaceError

NAME = re.compile(r"notifyx-\d{8}T\d{6}Z\.zip")
_PARTIAL = ".partial"
_LEFTOVER_SECONDS = 3600.0


def archive_name(at: datetime) -> str:
    """Return the name of an archive of ``at``. Names are in the order of times."""
    return at.astimezone(UTC).strftime("notifyx-%Y%m%dT%H%M%SZ.zip")


class Place(Protocol):
    """A place of archives. Its methods raise :class:`PlaceError`."""

    def staging(self) -> AbstractContextManager[Path]:
        """Return the folder in which an archive is written before it is put here, to be entered."""
        ...

    def put(self, file: Path, name: str) -> str:
        """Keep the archive in ``file`` under ``name``; return where it is, for people."""
        ...

    def names(self) -> list[str]:
        """Return the names of the archives, the oldest first."""
        ...

    def remove(self, name: str) -> None:
        """Remove one archive."""
        ...


def remove_old(place: Place, keep: int) -> list[str]:
    """Remove all but the ``keep`` newest archives; return the names of those removed."""
    old = place.names()[:-keep]
    for name in old:
        place.remove(name)
    return old


class Folder:
    """A folder of archives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def staging(self) -> AbstractContextManager[Path]:
        return nullcontext(self._folder)

    def put(self, file: Path, name: str) -> str:
        with _place_errors(self._folder):
            file.replace(self._folder / name)
            _sync(self._folder)
        return str(self._folder / name)

    def names(self) -> list[str]:
        with _place_errors(self._folder):
            return sorted(path.name for path in self._folder.iterdir() if NAME.fullmatch(path.name))

    def remove(self, name: str) -> None:
        with _place_errors(self._folder):
            (self._folder / name).unlink(missing_ok=True)


@contextmanager
def find_file(path: Path) -> Iterator[Path]:
    """Find an archive: a file, or the newest one of a folder. Raises :class:`PlaceError`."""
    if path.is_dir():
        names = Folder(path).names()
        if not names:
            raise PlaceError(f"There is no archive in {path}.")
        path /= names[-1]
    if not path.is_file():
        raise PlaceError(f"There is no archive {path}.")
    yield path


@contextmanager
def new_file(folder: Path, name: str) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a file for an archive that only its owner reads; it is on the disk after the block, and gone after an error.

    Raises :class:`PlaceError`.
    """
    path = folder / f"{name}{_PARTIAL}"
    with _place_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove_leftovers(folder)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield path, file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _remove_leftovers(folder: Path) -> None:
    """Remove what backups that were killed have left; one that runs writes all the time."""
    oldest = time.time() - _LEFTOVER_SECONDS
    for path in folder.glob(f"*{_PARTIAL}"):
        if NAME.fullmatch(path.name.removesuffix(_PARTIAL)) and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


@contextmanager
def _place_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        raise  # a database's
    except OSError as error:
        reason = error.strerror or str(error)
        raise PlaceError(f"The archive cannot be written to {folder}: {reason}. Nothing is left of it.") from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
