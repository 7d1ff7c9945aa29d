"""The store's database: which models and migrations make it, and the limits its connections live under.

``MAKE_MIGRATIONS`` is for the developer who changes a model::

    tortoise -c notifyx_store.base.database.MAKE_MIGRATIONS makemigrations
"""

from __future__ import annotations

from typing import Any

from notifyx_common.database import DatabaseConfig
from notifyx_store.base.settings import StoreSettings

APP = "store"
MODELS = ("notifyx_store.topics.models",)
MIGRATIONS = "notifyx_store.migrations"

MAKE_MIGRATIONS: dict[str, Any] = {
    "connections": {"default": "postgresql://unused/unused"},
    "apps": {APP: {"models": list(MODELS), "migrations": MIGRATIONS, "default_connection": "default"}},
}


def database_config(settings: StoreSettings) -> DatabaseConfig:
    """The database of ``settings``. ``synchronous_commit`` is on whatever the server's default: it is the promise."""
    return DatabaseConfig(
        url=settings.database_url,
        app=APP,
        models=MODELS,
        migrations=MIGRATIONS,
        pool_min=2,
        pool_max=settings.database_pool,
        command_timeout=settings.statement_timeout + 2,
        server_settings={
            "synchronous_commit": "on",
            "statement_timeout": str(int(settings.statement_timeout * 1000)),
            "lock_timeout": str(int(settings.lock_timeout * 1000)),
            "idle_in_transaction_session_timeout": str(int(settings.statement_timeout * 2000)),
        },
    )
