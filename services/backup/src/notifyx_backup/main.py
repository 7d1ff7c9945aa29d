"""Runs a backup or a restore from its options, and prints what was done."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg
import typer
from pydantic import SecretStr

from notifyx_backup.archive import Archive
from notifyx_backup.command import DATA
from notifyx_backup.connections import connect
from notifyx_backup.consistent import consistent_point
from notifyx_backup.dump import dump
from notifyx_backup.errors import BackupError
from notifyx_backup.load import check, restore
from notifyx_backup.manifest import PARTS, Part
from notifyx_backup.place import archive_name, new_file, remove_old
from notifyx_backup.places import find_archive, place_of
from notifyx_backup.settings import BackupSettings
from notifyx_common import logs
from notifyx_common.database import DRIVER_ERRORS
from notifyx_common.errors import NotifyxError
from notifyx_common.settings import load

EXIT_FAILED = 1

_RECORD = """
INSERT INTO backups (taken_at, finished_at, bytes) VALUES ($1, clock_timestamp(), $2)
ON CONFLICT (taken_at) DO UPDATE SET finished_at = excluded.finished_at, bytes = excluded.bytes
"""
_REMOVE_OLD = "DELETE FROM backups WHERE taken_at < (SELECT max(taken_at) FROM backups) - interval '400 days'"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """The options of ``notifyx backup``."""

    to: str
    data: Path | None = None
    keep: int = 0
    secrets: bool = True
    timeout: float = 6 * 3600
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """The options of ``notifyx restore``."""

    source: str
    data: Path | None = None
    replace: bool = False
    timeout: float = 24 * 3600
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Databases:
    """The URLs of the databases, and the data folder that they belong to, if any."""

    urls: dict[Part, SecretStr]
    folder: Path | None = None


def run_backup(options: BackupOptions) -> None:
    """Make a backup. Raises :class:`typer.Exit`."""
    _run(lambda: _backup(options, load(BackupSettings)), options.timeout)


def run_restore(options: RestoreOptions) -> None:
    """Restore a backup. Raises :class:`typer.Exit`."""
    _run(lambda: _restore(options, load(BackupSettings)), options.timeout)


async def _backup(options: BackupOptions, settings: BackupSettings) -> None:
    began = time.monotonic()
    progress = _progress(options.quiet)
    place = place_of(options.to, settings)
    async with _databases(options.data, settings, running=True) as databases:
        secrets = None
        if options.secrets and databases.folder is not None:
            secrets = (databases.folder / "secrets.json").read_bytes()
        with place.staging() as folder:
            async with consistent_point(databases.urls) as point:
                name = archive_name(point.taken_at)
                with new_file(folder, name) as (path, file):
                    manifest = await dump(
                        point, file, version=version("notifyx-backup"), secrets=secrets, progress=progress
                    )
            size = path.stat().st_size
            where = place.put(path, name)
        await _record(databases.urls["store"], point.taken_at, size)
    removed = remove_old(place, options.keep) if options.keep else []
    taken = time.monotonic() - began
    typer.echo(
        f"Backup of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC: {manifest.rows} rows, {size} bytes, {taken:.0f} s."
    )
    typer.echo(f"  {where}")
    if manifest.secrets is not None:
        typer.echo("  It holds the secrets of this platform: whoever reads it can act as anybody.")
    for old in removed:
        typer.echo(f"  Removed {old}: --keep {options.keep}.")


async def _restore(options: RestoreOptions, settings: BackupSettings) -> None:
    began = time.monotonic()
    progress = _progress(options.quiet)
    with find_archive(options.source, settings) as path, Archive(path) as archive:
        # Before a data folder is made for it, and before anything stops or starts.
        check(archive, progress)
        async with _databases(options.data, settings, running=False) as databases:
            folder, secrets = databases.folder, archive.secrets()

            def finish() -> None:
                if folder is not None and secrets is not None:
                    from notifyx_local.offline import replace_secrets  # noqa: PLC0415 - as in _databases

                    replace_secrets(folder, secrets)

            await restore(
                archive,
                databases.urls,
                now=await _time_of(databases.urls["store"]),
                replace=options.replace,
                finish=finish,
                progress=progress,
            )
        manifest = archive.manifest
    taken = time.monotonic() - began
    typer.echo(f"Restored {path.name}: {manifest.rows} rows, {taken:.0f} s.")
    typer.echo(
        f"  What happened after {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC is gone; clients are told as they resume."
    )
    if folder is not None and secrets is None:
        typer.echo(
            "  The archive has no secrets: put the platform's secrets.json into the data folder before you start."
        )


async def _time_of(url: SecretStr) -> datetime:
    """Return the time by the clock of the store's database. Raises :class:`BackupError`."""
    async with connect(url, "store") as connection:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now


async def _record(url: SecretStr, taken_at: datetime, size: int) -> None:
    """Record the backup in the store, whose metrics say how old the newest one is. Raises :class:`BackupError`."""
    async with connect(url, "store") as connection:
        try:
            await connection.execute(_RECORD, taken_at, size)
            await connection.execute(_REMOVE_OLD)
        except asyncpg.UndefinedTableError:
            pass  # a platform of an earlier version, which has no such metric


@asynccontextmanager
async def _databases(data: Path | None, settings: BackupSettings, *, running: bool) -> AsyncIterator[Databases]:
    """Open the databases that the environment or the data folder names. Raises :class:`NotifyxError`."""
    urls = {"auth": settings.auth_url, "store": settings.store_url}
    if data is None and any(url is not None for url in urls.values()):
        if missing := [part for part, url in urls.items() if url is None]:
            raise BackupError(f"NOTIFYX_BACKUP_{missing[0].upper()}_URL is missing: a backup is of both databases.")
        yield Databases({part: url for part in PARTS if (url := urls[part]) is not None})
        return
    try:
        # Imported late: it is not installed where databases are named by the environment, as in the image.
        from notifyx_local.offline import local_databases  # noqa: PLC0415
    except ModuleNotFoundError:
        raise BackupError("Name the databases by NOTIFYX_BACKUP_AUTH_URL and NOTIFYX_BACKUP_STORE_URL.") from None
    folder = (data or DATA).absolute()
    if running and not folder.is_dir():
        raise BackupError(f"There is no data folder {folder}; name it with --data.")
    async with local_databases(folder, running=running) as found:
        yield Databases({part: SecretStr(found[part]) for part in PARTS}, folder)


def _progress(quiet: bool) -> Progress:
    if quiet or not sys.stderr.isatty():
        return lambda _: None
    return lambda step: typer.echo(f"  {step}", err=True)


def _run(work: Callable[[], Coroutine[Any, Any, None]], timeout: float) -> None:
    logs.configure(service="backup", instance="", level="WARNING", style="console")

    async def bounded() -> None:
        try:
            async with asyncio.timeout(timeout):
                await work()
        except TimeoutError:
            raise BackupError(f"Given up after {timeout:.0f} s (--timeout).") from None

    try:
        asyncio.run(bounded())
    except NotifyxError as error:
        reason = error.reason
    except (*DRIVER_ERRORS, OSError) as error:
        reason = f"{str(error).strip() or type(error).__name__}; nothing is complete, so run it again."
    else:
        return
    typer.echo(f"notifyx: {reason}", err=True)
    raise typer.Exit(EXIT_FAILED)
