"""Configuration of auth's database: its models and migrations.

``MAKE_MIGRATIONS`` is for the developer who changes a model::

    tortoise -c notifyx_auth.base.database.MAKE_MIGRATIONS makemigrations
"""

from __future__ import annotations

from typing import Any

from notifyx_auth.base.settings import AuthSettings
from notifyx_common.database import DatabaseConfig

APP = "auth"
MODELS = ("notifyx_auth.base.models",)
MIGRATIONS = "notifyx_auth.migrations"

MAKE_MIGRATIONS: dict[str, Any] = {
    "connections": {"default": "postgresql://unused/unused"},
    "apps": {APP: {"models": list(MODELS), "migrations": MIGRATIONS, "default_connection": "default"}},
}


def database_config(settings: AuthSettings) -> DatabaseConfig:
    """Return the configuration of the database that ``settings`` name."""
    return DatabaseConfig(
        url=settings.database_url,
        app=APP,
        models=MODELS,
        migrations=MIGRATIONS,
        pool_max=settings.database_pool,
        start_deadline=settings.database_deadline,
    )
