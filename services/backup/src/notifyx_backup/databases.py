"""The two databases: their configuration for migrations."""

from __future__ import annotations

from pydantic import SecretStr

from notifyx_auth.base import database as auth
from notifyx_backup.manifest import Part
from notifyx_common.database import DatabaseConfig, migration_names
from notifyx_store.base import database as store

_UNUSED = SecretStr("postgresql://unused/unused")
_TIMEOUT = 24 * 3600.0
"""Of one statement of a restore, in seconds; the restore as a whole has its own limit."""


def config(part: Part, url: SecretStr = _UNUSED) -> DatabaseConfig:
    """Return the configuration with which the database of ``part`` is migrated."""
    of = auth if part == "auth" else store
    return DatabaseConfig(
        url=url, app=of.APP, models=of.MODELS, migrations=of.MIGRATIONS, connect_timeout=10.0, migrate_deadline=_TIMEOUT
    )


def known_migrations(part: Part) -> list[str]:
    """Return the migrations that this version has for the database of ``part``."""
    return migration_names(config(part))
