"""Runs Tortoise's migrations: all in one transaction, by one replica at a time."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor
from tortoise.transactions import in_transaction

from notifyx_common.database.config import CONNECTION, DatabaseConfig, app_config, tortoise_config
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger

log = get_logger(__name__)

APPLIED_TABLE = "tortoise_migrations"
"""The table with the names of the migrations that were applied."""

RESTORE_MARKER = "notifyx_restore"
"""A table that a restore creates before it changes anything, and removes when both databases are complete."""


class RestoreUnfinished(NotifyxError):
    """A restore into the database has begun and has not ended."""

    code = "restore_unfinished"


async def is_migrated(connection: asyncpg.Connection, config: DatabaseConfig) -> bool:
    """Return whether all migrations of ``config`` have been applied: then a start need not load them.

    Raises :class:`RestoreUnfinished`.
    """
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", RESTORE_MARKER):
        raise RestoreUnfinished(
            "A restore into this database has begun and is not complete; wait for it, or run notifyx restore again."
        )
    return set(migration_names(config)) <= set(await applied_migrations(connection, config.app))


async def applied_migrations(connection: asyncpg.Connection, app: str) -> list[str]:
    """Return the names of the migrations of ``app`` that were applied, in their order."""
    if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", APPLIED_TABLE):
        return []
    rows = await connection.fetch(f"SELECT name FROM {APPLIED_TABLE} WHERE app = $1 ORDER BY name", app)  # noqa: S608
    return [row["name"] for row in rows]


def migration_names(config: DatabaseConfig) -> list[str]:
    """Return the names of the migrations that this version has, in their order."""
    package = importlib.import_module(config.migrations)
    return sorted(name for _, name, is_package in pkgutil.iter_modules(package.__path__) if not is_package)


async def migrate(config: DatabaseConfig) -> None:
    """Apply all missing migrations in one transaction, one replica at a time."""
    async with migrating(config) as migration:
        await migration.apply()


@asynccontextmanager
async def migrating(config: DatabaseConfig) -> AsyncIterator[Migration]:
    """Open a transaction in which migrations are applied, by one replica at a time; it is committed at the end."""
    async with TortoiseContext() as context:
        await context.init(config=tortoise_config(config, migrating=True))
        async with in_transaction(CONNECTION) as client:
            assert isinstance(client, TransactionWrapper)
            await client.execute_query("SELECT pg_advisory_xact_lock($1)", [_lock_key(config.app)])
            async with client.acquire_connection() as connection:
                pass  # the connection of the transaction, which holds it until its end
            yield Migration(client, connection, config)


class Migration:
    """Migrations in one transaction; ``connection`` is the transaction's, for other statements of it."""

    def __init__(self, client: TransactionWrapper, connection: asyncpg.Connection, config: DatabaseConfig) -> None:
        self.connection = connection
        self._client = client
        self._config = config

    async def apply(self, last: str = "__latest__") -> None:
        """Apply the missing migrations up to ``last``."""
        executor = MigrationExecutor(self._client, {self._config.app: app_config(self._config)})
        # Reading the applied migrations before their table exists would fail and abort the transaction.
        await executor.recorder.ensure_schema(AsyncpgSchemaEditor(self._client, atomic=False))
        await executor.migrate(
            [MigrationTarget(app_label=self._config.app, name=last)],
            direction="forward",
            progress=lambda event, app, name: log.info("migration_step", step=event, app=app, name=name),
        )


def _lock_key(app: str) -> int:
    return int.from_bytes(hashlib.sha256(f"notifyx migrations {app}".encode()).digest()[:8], "big", signed=True)
