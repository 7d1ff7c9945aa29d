"""Writes both databases, as one point in time shows them, into an archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

import asyncpg

from notifyx_backup import catalogue
from notifyx_backup.archive import ArchiveWriter
from notifyx_backup.consistent import Point
from notifyx_backup.databases import known_migrations
from notifyx_backup.errors import BackupError, NewerArchive
from notifyx_backup.manifest import PARTS, Contents, Manifest, Part, Table
from notifyx_common.database import DRIVER_ERRORS, applied_migrations


async def dump(
    point: Point,
    file: IO[bytes],
    *,
    version: str,
    secrets: bytes | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write an archive of ``point`` to ``file``; return its manifest. Raises :class:`BackupError`."""
    with ArchiveWriter(file) as writer:
        try:
            contents = {part: await _dump(point.connections[part], part, writer, progress) for part in PARTS}
        except (*DRIVER_ERRORS, ConnectionError) as error:
            raise BackupError(f"A database ended the backup: {error}. Nothing is left of it; try again.") from error
        manifest = Manifest(
            version=version,
            taken_at=point.taken_at,
            databases=contents,
            secrets=None if secrets is None else writer.secrets(secrets),
        )
        writer.finish(manifest)
    return manifest


async def _dump(
    connection: asyncpg.Connection, part: Part, writer: ArchiveWriter, progress: Callable[[str], None]
) -> Contents:
    migrations = await applied_migrations(connection, part)
    if not migrations:
        raise BackupError(f"The {part} database has no tables of Notifyx; the platform has never run on it.")
    if unknown := set(migrations) - set(known_migrations(part)):
        raise NewerArchive(
            f"The {part} database was made by a newer Notifyx ({max(unknown)}); make the backup with that version."
        )
    tables = [
        await _dump_table(connection, part, name, columns, writer, progress)
        for name, columns in (await catalogue.tables(connection)).items()
    ]
    # Sequences belong to no snapshot. Read last, they are beyond every row.
    sequences = {
        column: await connection.fetchval(f"SELECT last_value FROM {sequence}")  # noqa: S608 - a name of the catalogue
        for column, sequence in (await catalogue.sequences(connection)).items()
    }
    server = str(connection.get_server_version().major)
    return Contents(migrations=migrations, server=server, tables=tables, sequences=sequences)


async def _dump_table(
    connection: asyncpg.Connection,
    part: Part,
    name: str,
    columns: list[str],
    writer: ArchiveWriter,
    progress: Callable[[str], None],
) -> Table:
    progress(f"{part}/{name}")
    with writer.table(part, name) as output:
        tag: str = await connection.copy_from_table(name, columns=columns, output=output.write, format="text")
    rows = int(tag.rpartition(" ")[2])
    return Table(name=name, columns=columns, rows=rows, bytes=output.bytes, sha256=output.sha256)
