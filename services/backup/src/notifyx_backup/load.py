"""Restores both databases from an archive.

Each database is one transaction: the migrations that the archive had, its rows, the later migrations, and what the
service needs after a restore. There are two of them, so a marker is committed to both databases before the first one
and removed after the second. While it is there no service starts, and a restore that was interrupted can be run again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime

import asyncpg
from pydantic import SecretStr
from tortoise.exceptions import BaseORMException

from notifyx_backup import catalogue
from notifyx_backup.archive import Archive
from notifyx_backup.connections import connect
from notifyx_backup.databases import config, known_migrations
from notifyx_backup.errors import BackupError, InUse, NotEmpty
from notifyx_backup.manifest import PARTS, Contents, Part, Table, check_migrations
from notifyx_common.database import DRIVER_ERRORS, RESTORE_MARKER, migrating
from notifyx_store.restored import FIRST_ID_FACTOR, begin_after_restore

_USERS = """
SELECT count(*), min(application_name) FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('notifyx-auth', 'notifyx-store')
"""

_MARK = f"CREATE TABLE IF NOT EXISTS {RESTORE_MARKER} (archive text NOT NULL, begun_at timestamptz NOT NULL)"
_IS_MARKED = "SELECT to_regclass($1) IS NOT NULL"
_UNMARK = f"DROP TABLE IF EXISTS {RESTORE_MARKER}"

Progress = Callable[[str], None]


def check(archive: Archive, progress: Progress = lambda _: None) -> None:
    """Read ``archive`` whole. Raises :class:`BackupError` if it is damaged, or of a version that is newer than this."""
    for part in PARTS:
        contents = archive.manifest.databases[part]
        check_migrations(contents, known_migrations(part), part, archive.manifest.version)
    progress("Reading the archive")
    archive.verify()


async def restore(
    archive: Archive,
    urls: dict[Part, SecretStr],
    *,
    now: datetime,
    replace: bool = False,
    finish: Callable[[], None] = lambda: None,
    progress: Progress = lambda _: None,
) -> None:
    """Restore ``archive``, which :func:`check` has accepted, into both databases.

    Raises :class:`BackupError`. Nothing has changed then, unless the first database was complete: the marker is there
    in that case, and the restore has to be run again.

    ``replace``: what the databases hold is removed, in the same transactions. ``finish`` is called when both are
    complete, while no service starts yet.
    """
    async with AsyncExitStack() as stack:
        markers = {part: await stack.enter_async_context(connect(urls[part], part)) for part in PARTS}
        # What an interrupted restore has left is replaced, and stays marked if this one fails as well.
        begun = [part for part in PARTS if await markers[part].fetchval(_IS_MARKED, RESTORE_MARKER)]
        if not replace and not begun:
            for part in PARTS:
                await _check_empty(markers[part], part)
        for part in PARTS:
            await markers[part].execute(_MARK)
            await markers[part].execute(f"INSERT INTO {RESTORE_MARKER} VALUES ($1, $2)", archive.path.name, now)  # noqa: S608
        done: list[Part] = []
        try:
            # From here on none can start.
            for part in PARTS:
                await _check_unused(markers[part], part)
            # The store first: without auth nobody can sign in to half of a platform.
            for part in ("store", "auth"):
                await _restore(archive, part, urls[part], now, progress)
                done.append(part)
        except Exception:
            if not done and not begun:  # nothing has changed: the marker would only be in the way
                for part in PARTS:
                    await markers[part].execute(_UNMARK)
            raise
        finish()
        for part in PARTS:
            await markers[part].execute(_UNMARK)


async def _check_unused(connection: asyncpg.Connection, part: Part) -> None:
    count, name = await connection.fetchrow(_USERS)
    if count:
        raise InUse(f"Services use the {part} database ({count} connections of {name}); stop them, and restore then.")


async def _check_empty(connection: asyncpg.Connection, part: Part) -> None:
    """Raise :class:`NotEmpty` if the database holds something."""
    if await catalogue.tables(connection):
        raise NotEmpty(
            f"The {part} database is not empty. Restore into an empty one, or give --replace, which empties it."
        )


async def _restore(archive: Archive, part: Part, url: SecretStr, now: datetime, progress: Progress) -> None:
    contents = archive.manifest.databases[part]
    try:
        async with migrating(config(part, url)) as migration:
            connection = migration.connection
            await catalogue.drop_all(connection)
            await migration.apply(contents.migrations[-1])
            await _load(connection, archive, part, contents, progress)
            await migration.apply()
            await _raise_sequences(connection, contents, now)
            if part == "store":
                await begin_after_restore(connection, now, archive.manifest.taken_at)
    except (*DRIVER_ERRORS, BaseORMException, ConnectionError) as error:
        raise BackupError(f"The {part} database did not accept the archive: {error}.") from error


async def _load(
    connection: asyncpg.Connection, archive: Archive, part: Part, contents: Contents, progress: Progress
) -> None:
    made = await catalogue.tables(connection)
    for table in contents.tables:
        if set(table.columns) != set(made.get(table.name, ())):
            raise BackupError(f"The table {table.name} of the archive is not the one that its migrations make.")
    if made:
        await connection.execute(f"TRUNCATE {', '.join(map(catalogue.quoted, made))}")
    for table in contents.tables:
        progress(f"{part}/{table.name}")
        name = catalogue.quoted(table.name)
        # What triggers do when a row is new was done when it was: the archive has it. References are still checked.
        await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        await _copy(connection, table, archive.rows(part, table))
        await connection.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER; ANALYZE {name}")


async def _copy(connection: asyncpg.Connection, table: Table, rows: Iterator[bytes]) -> None:
    async def source() -> AsyncIterator[bytes]:
        for chunk in rows:
            yield chunk

    tag: str = await connection.copy_to_table(table.name, source=source(), columns=table.columns, format="text")
    if int(tag.rpartition(" ")[2]) != table.rows:
        raise BackupError(f"The table {table.name} has {tag} rows after the restore, and the archive {table.rows}.")


async def _raise_sequences(connection: asyncpg.Connection, contents: Contents, now: datetime) -> None:
    """Let ids go on beyond those that were given out after the backup."""
    first = int(now.timestamp()) * FIRST_ID_FACTOR
    for column, sequence in (await catalogue.sequences(connection)).items():
        await connection.execute("SELECT setval($1, $2)", sequence, max(contents.sequences.get(column, 1), first))
