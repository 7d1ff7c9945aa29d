"""The file of a backup: a ZIP whose members are the rows of the tables, as PostgreSQL's text, and last a manifest.

A ZIP is written in one pass, has a checksum for each member, and is opened by common tools. One that was cut short has
no directory at its end, so that it cannot be taken for a whole one.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from notifyx_backup.errors import DamagedArchive
from notifyx_backup.manifest import PARTS, Manifest, Part, Table, read_manifest

MANIFEST = "manifest.json"
SECRETS = "secrets.json"
MAX_MANIFEST = 64 << 20
"""Maximum size of the manifest, in bytes."""

_LEVEL = 3
"""Of compression: most of what level 6 saves, at a third of its time."""

_CHUNK = 1 << 20


def member(part: Part, table: str) -> str:
    """Return the name of the member with the rows of ``table``."""
    return f"{part}/{table}.copy"


class ArchiveWriter:
    """Writes an archive to ``file``; it is whole after :meth:`finish`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True, compresslevel=_LEVEL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.fp = None  # where it is not finished, it is not to be ended as if it were whole

    def table(self, part: Part, name: str) -> TableWriter:
        """Begin the member of a table; one is written at a time."""
        return TableWriter(self._zip.open(member(part, name), "w", force_zip64=True))

    def secrets(self, content: bytes) -> str:
        """Write the secrets of ``notifyx up``; return their SHA-256."""
        self._zip.writestr(SECRETS, content)
        return hashlib.sha256(content).hexdigest()

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and the end of the file."""
        self._zip.writestr(MANIFEST, manifest.model_dump_json(indent=1))
        self._zip.close()


class TableWriter:
    """Writes the rows of one table while it is entered; ``bytes`` and ``sha256`` are those of what was written."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self._digest = hashlib.sha256()
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._output.close()
        except (OSError, ValueError):
            if error is None:
                raise

    async def write(self, data: bytes) -> None:
        """Write rows, as PostgreSQL sends them."""
        self._digest.update(data)
        self.bytes += len(data)
        self._output.write(data)

    @property
    def sha256(self) -> str:
        """SHA-256 of the rows, in hex."""
        return self._digest.hexdigest()


class Archive:
    """A file to restore from. Opening it raises :class:`DamagedArchive` and :class:`NewerArchive`."""

    def __init__(self, file: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, EOFError) as error:
            raise DamagedArchive(f"{file} is no whole archive of Notifyx ({error}); use another one.") from None
        self.path = file
        try:
            self.manifest = self._read_manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def rows(self, part: Part, table: Table) -> Iterator[bytes]:
        """Yield the rows of a table. Raises :class:`DamagedArchive` at the end if they are not those written."""
        digest = hashlib.sha256()
        for chunk in self._chunks(member(part, table.name)):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != table.sha256:
            raise self._damaged(member(part, table.name))

    def secrets(self) -> bytes | None:
        """Return the secrets of ``notifyx up``, if they are in the archive. Raises :class:`DamagedArchive`."""
        if self.manifest.secrets is None:
            return None
        content = b"".join(self._chunks(SECRETS))
        if hashlib.sha256(content).hexdigest() != self.manifest.secrets:
            raise self._damaged(SECRETS)
        return content

    def verify(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Read the whole archive. Raises :class:`DamagedArchive`."""
        for part in PARTS:
            for table in self.manifest.databases[part].tables:
                progress(f"{part}/{table.name}")
                for _ in self.rows(part, table):
                    pass
        self.secrets()

    def _read_manifest(self) -> Manifest:
        if MANIFEST not in self._zip.namelist() or self._zip.getinfo(MANIFEST).file_size > MAX_MANIFEST:
            raise DamagedArchive(f"{self.path} is no archive of Notifyx: it has no list of contents.")
        try:
            return read_manifest(json.loads(b"".join(self._chunks(MANIFEST))))
        except ValueError:
            raise self._damaged(MANIFEST) from None

    def _chunks(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(name) as source:
                while chunk := source.read(_CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError):
            raise self._damaged(name) from None

    def _damaged(self, name: str) -> DamagedArchive:
        return DamagedArchive(f"{self.path} is damaged: {name} is not what was written. Use another archive.")
