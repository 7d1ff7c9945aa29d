"""The settings, database, clock, metrics and security log that every part of the store receives."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from notifyx_common.clock import Clock
from notifyx_common.database import Database
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_store.base.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class StoreContext:
    """Dependencies of routes and background work, passed explicitly; there are no globals."""

    settings: StoreSettings
    database: Database
    clock: Clock
    metrics: Metrics
    security: SecurityLog

    @property
    def pool(self) -> asyncpg.Pool:
        """Return the pool of the running service; the database's settings bound the wait of ``acquire()``."""
        return self.database.pool
