"""The databases of a data folder, whether ``notifyx up`` runs on it or not: for backups and restores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_local.credentials import load_secrets
from notifyx_local.databases import make_databases
from notifyx_local.errors import PostgresError
from notifyx_local.folder_lock import AlreadyRunning, lock_data_folder, restoring
from notifyx_local.ports import free_port
from notifyx_local.postgres import prepare
from notifyx_local.stack import DataFolders, postgres_spec
from notifyx_local.supervisor import Supervisor

_PORT_LINE = 3
"""Line of PostgreSQL's PID file that has its port."""


@asynccontextmanager
async def local_databases(folder: Path, *, running: bool) -> AsyncIterator[dict[str, str]]:
    """Open the databases of the data folder: the URLs of ``auth`` and ``store``.

    ``running``: also those of a platform that runs on it; otherwise that raises :class:`AlreadyRunning`, and no
    platform starts on the folder if this process is killed. Where none runs, PostgreSQL is started for this block.
    Raises :class:`NotifyxError`.
    """
    folders = DataFolders(folder)
    try:
        folders.make()
    except OSError as error:
        raise PostgresError(
            f"The data folder {folder} cannot be made ({error.strerror}); choose another with --data."
        ) from None
    try:
        with lock_data_folder(folder), nullcontext() if running else restoring(folder):
            async with _started(folders) as server:
                yield await _databases(folders, server)
    except AlreadyRunning:
        if not running:
            raise
        yield _running_databases(folders)


def replace_secrets(folder: Path, content: bytes) -> None:
    """Write ``secrets.json`` of the data folder, with what a backup holds of it."""
    path = folder / "secrets.json"
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_bytes(content)
    partial.replace(path)


@asynccontextmanager
async def _started(folders: DataFolders) -> AsyncIterator[str]:
    cluster = await asyncio.to_thread(prepare, folders.data, free_port())
    supervisor = Supervisor(folders.data / "state.json", Background(Metrics()), lambda _: None)
    try:
        await supervisor.start([postgres_spec(folders, cluster)])
        yield cluster.dsn()
    finally:
        await supervisor.stop()


async def _databases(folders: DataFolders, server: str) -> dict[str, str]:
    secrets = load_secrets(folders.data)
    passwords = {"auth": secrets.auth_database, "store": secrets.store_database}
    return await make_databases(server, passwords, own_roles=True)


def _running_databases(folders: DataFolders) -> dict[str, str]:
    try:
        port = int((folders.data / "postgres" / "postmaster.pid").read_text().splitlines()[_PORT_LINE])
    except (OSError, ValueError, IndexError):
        raise PostgresError(
            f"The platform on {folders.data} runs with a PostgreSQL of its own; name its databases by "
            "NOTIFYX_BACKUP_AUTH_URL and NOTIFYX_BACKUP_STORE_URL."
        ) from None
    secrets = load_secrets(folders.data)
    passwords = {"auth": secrets.auth_database, "store": secrets.store_database}
    return {
        name: f"postgresql://notifyx_{name}:{password}@127.0.0.1:{port}/notifyx_{name}?sslmode=disable"
        for name, password in passwords.items()
    }
