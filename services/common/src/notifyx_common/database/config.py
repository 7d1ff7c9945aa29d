"""Configuration of a service's database, also in the form that Tortoise needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from notifyx_common.database.held import Announce
from notifyx_common.settings import SettingsError

CONNECTION = "default"
"""Tortoise's name of the connection."""

PRIMARY_ONLY = "primary"
"""``target_session_attrs``: no standby is used. For a moment an address may lead to one, which has old contents."""

MIGRATION_IDLE_TIMEOUT = 15.0
"""Maximum time, in seconds, that an unfinished migration waits for its process."""

_ENGINE = "notifyx_common.database.engine"


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """Configuration of a service's database. Times are in seconds.

    ``app`` is Tortoise's label, ``models`` its model modules and ``migrations`` the package of its migrations.
    ``server_settings`` hold for every connection of the pool (not while migrating), and so do the timeouts that
    PostgreSQL itself keeps: a process that hangs (or whose network is gone) loses its locks, and others go on.

    - ``statement_timeout``: of one statement, shorter than ``command_timeout``, the wait for its answer.
    - ``lock_timeout``: of a wait for one lock.
    - ``idle_transaction_timeout``: of a transaction that waits for its next statement; then its session ends.
    - ``check_timeout``: of a readiness check as a whole, without time in which the process did not run. It is shorter
      than :data:`~notifyx_common.calls.silence.SILENT_AFTER`, so that a database is named, not its service.
    - ``unreachable_timeout``: of data that the other side does not accept; then the connection ends.

    ``prepared`` are statements that each connection prepares when it is made, because they run while locks are held:
    between preparing and running a statement, a transaction waits for its process and no short timeout applies.

    ``announce`` gets what transactions hold until they are committed (:mod:`.held`).
    """

    url: SecretStr
    app: str
    models: tuple[str, ...]
    migrations: str
    pool_min: int = 1
    pool_max: int = 10
    connect_timeout: float = 3.0
    acquire_timeout: float = 3.0
    check_timeout: float = 1.0
    command_timeout: float = 10.0
    statement_timeout: float = 8.0
    lock_timeout: float = 5.0
    idle_transaction_timeout: float = 5.0
    unreachable_timeout: float = 10.0
    start_deadline: float = 60.0
    migrate_deadline: float = 300.0
    server_settings: Mapping[str, str] = field(default_factory=dict)
    prepared: tuple[str, ...] = ()
    announce: Announce | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme not in ("postgres", "postgresql") or len(parts.path) < 2:
            raise SettingsError(
                "Wrong settings: NOTIFYX_DATABASE_URL: give postgresql://user:password@host:port/database."
            )


def app_config(config: DatabaseConfig) -> dict[str, Any]:
    """Return Tortoise's settings of the app that ``config`` names."""
    return {"models": list(config.models), "migrations": config.migrations, "default_connection": CONNECTION}


def session_settings(config: DatabaseConfig, *, migrating: bool = False) -> dict[str, str]:
    """Return the settings with which a connection begins.

    A migration may wait long for locks and have long statements, but it holds locks that stop everyone: it may not
    hang either.
    """
    settings = {
        "idle_in_transaction_session_timeout": _milliseconds(config.idle_transaction_timeout),
        "tcp_user_timeout": _milliseconds(config.unreachable_timeout),
        "tcp_keepalives_idle": str(math.ceil(config.unreachable_timeout)),
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
    }
    if migrating:
        return settings | {"idle_in_transaction_session_timeout": _milliseconds(MIGRATION_IDLE_TIMEOUT)}
    settings |= {
        "statement_timeout": _milliseconds(config.statement_timeout),
        "lock_timeout": _milliseconds(config.lock_timeout),
    }
    return settings | dict(config.server_settings)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


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
        "server_settings": session_settings(config, migrating=migrating),
        "target_session_attrs": PRIMARY_ONLY,
        "prepared": () if migrating else config.prepared,
        "announce": None if migrating else config.announce,
    }
    return {
        "connections": {CONNECTION: {"engine": _ENGINE, "credentials": credentials}},
        "apps": {config.app: app_config(config)},
        "use_tz": True,
        "timezone": "UTC",
    }
