"""Configuration of a service's database, also in the form that Tortoise needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from notifyx_common.settings import SettingsError

CONNECTION = "default"
"""Tortoise's name of the connection."""

_ENGINE = "notifyx_common.database.engine"


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """Configuration of a service's database. Times are in seconds.

    ``app`` is Tortoise's label, ``models`` its model modules and ``migrations`` the package of its migrations.
    ``server_settings`` hold for every connection of the pool (not while migrating).
    """

    url: SecretStr
    app: str
    models: tuple[str, ...]
    migrations: str
    pool_min: int = 1
    pool_max: int = 10
    connect_timeout: float = 3.0
    acquire_timeout: float = 3.0
    command_timeout: float = 10.0
    start_deadline: float = 60.0
    migrate_deadline: float = 300.0
    server_settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme not in ("postgres", "postgresql") or len(parts.path) < 2:
            raise SettingsError(
                "Wrong settings: NOTIFYX_DATABASE_URL: give postgresql://user:password@host:port/database."
            )


def app_config(config: DatabaseConfig) -> dict[str, Any]:
    """Return Tortoise's settings of the app that ``config`` names."""
    return {"models": list(config.models), "migrations": config.migrations, "default_connection": CONNECTION}


def tortoise_config(config: DatabaseConfig, *, migrating: bool = False) -> dict[str, Any]:
    """Return Tortoise's settings; for migrations with one connection and a longer timeout."""
    credentials = {
        "dsn": config.url.get_secret_value(),
        "minsize": 1 if migrating else config.pool_min,
        "maxsize": 1 if migrating else config.pool_max,
        "timeout": config.connect_timeout,
        "acquire_timeout": config.acquire_timeout,
        "command_timeout": config.migrate_deadline if migrating else config.command_timeout,
        "application_name": f"notifyx-{config.app}",
        "server_settings": {} if migrating else dict(config.server_settings),
    }
    return {
        "connections": {CONNECTION: {"engine": _ENGINE, "credentials": credentials}},
        "apps": {config.app: app_config(config)},
        "use_tz": True,
        "timezone": "UTC",
    }
