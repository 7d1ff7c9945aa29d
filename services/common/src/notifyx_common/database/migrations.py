"""Runs Tortoise's migrations: all in one transaction, by one replica at a time."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil

import asyncpg
from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor
from tortoise.transactions import in_transaction

from notifyx_common.database.config import CONNECTION, DatabaseConfig, app_config, tortoise_config
from notifyx_common.logs import get_logger

log = get_logger(__name__)


async def is_migrated(connection: asyncpg.Connection, config: DatabaseConfig) -> bool:
    """Return whether all migrations of ``config`` have been applied: then a start need not load them."""
    if not await connection.fetchval("SELECT to_regclass('tortoise_migrations') IS NOT NULL"):
        return False
    rows = await connection.fetch("SELECT name FROM tortoise_migrations WHERE app = $1", config.app)
    package = importlib.import_module(config.migrations)
    names = {name for _, name, is_package in pkgutil.iter_modules(package.__path__) if not is_package}
    return names <= {row["name"] for row in rows}


async def migrate(config: DatabaseConfig) -> None:
    """Apply all missing migrations in one transaction, one replica at a time."""
    async with TortoiseContext() as context:
        await context.init(config=tortoise_config(config, migrating=True))
        async with in_transaction(CONNECTION) as client:
            await client.execute_query("SELECT pg_advisory_xact_lock($1)", [_lock_key(config.app)])
            executor = MigrationExecutor(client, {config.app: app_config(config)})
            # Reading the applied migrations before their table exists would fail and abort the transaction.
            await executor.recorder.ensure_schema(AsyncpgSchemaEditor(client, atomic=False))
            await executor.migrate(
                [MigrationTarget(app_label=config.app, name="__latest__")],
                direction="forward",
                progress=lambda event, app, name: log.info("migration_step", step=event, app=app, name=name),
            )


def _lock_key(app: str) -> int:
    return int.from_bytes(hashlib.sha256(f"notifyx migrations {app}".encode()).digest()[:8], "big", signed=True)
