"""The settings, database, clock, metrics and security log that every part of the store receives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from notifyx_common.clock import Clock
from notifyx_common.database import Database
from notifyx_common.limiting.turns import SharedTurns
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_store.base.settings import StoreSettings

CONCURRENT_PAGES = 4
"""Pages that are read at once, by default: a third of the connections."""


@dataclass(frozen=True, slots=True)
class StoreContext:
    """Dependencies of routes and background work, passed explicitly; there are no globals."""

    settings: StoreSettings
    database: Database
    clock: Clock
    metrics: Metrics
    security: SecurityLog
    pages: SharedTurns = field(default_factory=lambda: SharedTurns(CONCURRENT_PAGES))
    """Turns of :meth:`reading_pages`."""

    @property
    def pool(self) -> asyncpg.Pool:
        """Return the pool of the running service; the database's settings bound the wait of ``acquire()``."""
        return self.database.pool

    @asynccontextmanager
    async def reading_pages(self, user: str) -> AsyncIterator[asyncpg.Connection]:
        """Acquire a connection for a read of many rows: a page of a log, an inbox or a list, the ledger.

        Only some connections are used for these at once, so that publishes, joins and acknowledgements find others.
        Users whose reads wait for these are served in turn.
        """
        async with self.pages.turn(user), self.pool.acquire() as connection:
            yield connection
