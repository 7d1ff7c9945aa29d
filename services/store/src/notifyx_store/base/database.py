"""The store's database: its models, its migrations and the limits of its connections.

``MAKE_MIGRATIONS`` is for the developer who changes a model::

    tortoise -c notifyx_store.base.database.MAKE_MIGRATIONS makemigrations
"""

from __future__ import annotations

from typing import Any

from notifyx_common.database import Announce, DatabaseConfig
from notifyx_store.base.settings import StoreSettings

APP = "store"
MODELS = ("notifyx_store.topics.models",)
MIGRATIONS = "notifyx_store.migrations"

MAKE_MIGRATIONS: dict[str, Any] = {
    "connections": {"default": "postgresql://unused/unused"},
    "apps": {APP: {"models": list(MODELS), "migrations": MIGRATIONS, "default_connection": "default"}},
}


def database_config(
    settings: StoreSettings, *, prepared: tuple[str, ...] = (), announce: Announce | None = None
) -> DatabaseConfig:
    """Return the configuration, with ``prepared`` statements on each connection, which ``announce`` what they commit.

    ``synchronous_commit`` is always on: what was accepted must be on disk.
    """
    return DatabaseConfig(
        url=settings.database_url,
        app=APP,
        models=MODELS,
        migrations=MIGRATIONS,
        pool_min=2,
        pool_max=settings.database_pool,
        command_timeout=settings.statement_timeout + 2,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.lock_timeout,
        idle_transaction_timeout=settings.idle_transaction_timeout,
        server_settings={"synchronous_commit": "on"},
        prepared=prepared,
        announce=announce,
    )


def affected(tag: str) -> int:
    """Return how many rows a statement changed, from the command tag that the driver returns."""
    return int(tag.rpartition(" ")[2])
