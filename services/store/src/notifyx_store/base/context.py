"""What every part of the store is given: its settings, database, clock and metrics."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from notifyx_common.clock import Clock
from notifyx_common.database import Database
from notifyx_common.metrics import Metrics
from notifyx_store.base.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class StoreContext:
    """Passed to routes and background work; nothing in the store is reached in another way."""

    settings: StoreSettings
    database: Database
    clock: Clock
    metrics: Metrics

    @property
    def pool(self) -> asyncpg.Pool:
        """The connections, while the service runs. ``acquire()`` waits no longer than the database's settings say."""
        return self.database.pool
