"""The places that a user names: folders, and buckets of S3-compatible stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from notifyx_backup.errors import PlaceError
from notifyx_backup.place import NAME, Folder, Place, find_file
from notifyx_backup.settings import BackupSettings

if TYPE_CHECKING:
    from notifyx_backup.bucket import Bucket

_S3 = "s3://"


def place_of(destination: str, settings: BackupSettings) -> Place:
    """Return the place that a user names: ``s3://bucket/prefix`` or a folder. Raises :class:`PlaceError`."""
    return _bucket(destination, settings) if destination.startswith(_S3) else Folder(Path(destination))


@contextmanager
def find_archive(source: str, settings: BackupSettings) -> Iterator[Path]:
    """Find the archive that a user names, or the newest one of a place. Raises :class:`PlaceError`."""
    if not source.startswith(_S3):
        with find_file(Path(source)) as path:
            yield path
        return
    place, _, name = source.rpartition("/")
    if NAME.fullmatch(name):
        bucket = _bucket(place, settings)
    else:
        bucket = _bucket(source, settings)
        names = bucket.names()
        if not names:
            raise PlaceError(f"There is no archive in {bucket.url}.")
        name = names[-1]
    with bucket.fetched(name) as path:
        yield path


def _bucket(url: str, settings: BackupSettings) -> Bucket:
    try:
        # Imported late: the library is an extra.
        from notifyx_backup.bucket import Bucket  # noqa: PLC0415
    except ModuleNotFoundError:
        raise PlaceError("s3:// needs one more library: pip install 'notifyx-backup[s3]'.") from None
    return Bucket(url, settings)
