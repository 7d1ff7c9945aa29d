"""The settings, database, clock, metrics and security log that every part of the store receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from notifyx_common.clock import Clock
from notifyx_common.database import Database
from notifyx_common.errors import SEARCH_TIMEOUT, Unavailable
from notifyx_common.limiting.turns import Place, SharedTurns
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_store.base.settings import StoreSettings

CONCURRENT_PAGES = 4
"""Pages that are read at once, by default: a third of the connections."""

CONCURRENT_SEARCHES = 2

_SEARCH_WAIT = 3.0
"""Seconds that a search waits for its turn: it has to be over when a gateway gives the attempt up."""


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

    searches: SharedTurns = field(default_factory=lambda: SharedTurns(CONCURRENT_SEARCHES))
    """Turns of :meth:`searching`."""

    @property
    def pool(self) -> asyncpg.Pool:
        """Return the pool of the running service; the database's settings bound the wait of ``acquire()``."""
        return self.database.pool

    @asynccontextmanager
    async def reading_pages(self, user: str, *with_others: str) -> AsyncIterator[asyncpg.Connection]:
        """Acquire a connection for a read of many rows: a page of a log, an inbox or a list, the ledger.

        Only some connections are used for these at once, so that publishes, joins and acknowledgements find others.
        Users whose reads wait for these are served in turn. What is read for several has the turn of the one whose turn
        comes first.
        """
        place: Place = asyncio.get_running_loop().create_future()
        for other in with_others:
            self.pages.share(place, other)
        async with self.pages.turn(user, place), self.pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def searching(self, user: str) -> AsyncIterator[asyncpg.Connection]:
        """Acquire a connection for a page of a search: fewer than those of other pages, which wait for no search.

        Raises :class:`Unavailable` where no turn comes in time.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_SEARCH_WAIT):
                    await stack.enter_async_context(self.searches.turn(user))
            except TimeoutError:
                raise Unavailable(
                    "Many searches are under way. Try again in a moment.", code=SEARCH_TIMEOUT, retry_after=1
                ) from None
            yield await stack.enter_async_context(self.pool.acquire())
