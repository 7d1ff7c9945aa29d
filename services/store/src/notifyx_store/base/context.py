"""The settings, database, clock, metrics and security log that every part of the store receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import asyncpg

from notifyx_common.clock import Clock
from notifyx_common.database import Database
from notifyx_common.errors import SEARCH_TIMEOUT, Unavailable
from notifyx_common.limiting.turns import Place, SharedTurns
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_store.base.read_replica import Read, ReadReplica
from notifyx_store.base.settings import StoreSettings

T = TypeVar("T")

CONCURRENT_PAGES = 4
"""Pages that are read at once, by default: a third of the connections."""

CONCURRENT_SEARCHES = 2

_SEARCH_WAIT = 3.0
"""Seconds that a search waits for its turn: it has to be over when a gateway gives the attempt up."""

PAGE_WITHIN = 1.0
"""Seconds after which a page is read from the primary that a read replica has not answered."""

_SEARCH_WITHIN = 3.0
"""The same of a search, in times of ``search_seconds``."""


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
    """Turns of :meth:`search`."""

    replica: ReadReplica | None = None
    """Where pages may be read besides the primary."""

    @property
    def pool(self) -> asyncpg.Pool:
        """Return the pool of the running service; the database's settings bound the wait of ``acquire()``."""
        return self.database.pool

    @asynccontextmanager
    async def reading_pages(self, user: str) -> AsyncIterator[asyncpg.Connection]:
        """Acquire a connection to the primary for a read of many rows: a page of a list, the ledger.

        Only some connections are used for these at once, so that publishes, joins and acknowledgements find others.
        Users whose reads wait for these are served in turn.
        """
        async with self.pages.turn(user), self.pool.acquire() as connection:
            yield connection

    async def read_page(self, read: Read[T], user: str, *with_others: str) -> T:
        """Return the page that ``read`` reads, from the read replica where that shows all that it has to.

        It has a turn, as :meth:`reading_pages` says; what is read for several has the turn of the one whose turn comes
        first. What decides something is not read in this way.
        """
        place: Place = asyncio.get_running_loop().create_future()
        for other in with_others:
            self.pages.share(place, other)
        async with self.pages.turn(user, place):
            return await self._read(read, PAGE_WITHIN)

    async def search(self, read: Read[T], user: str) -> T:
        """Return the page of a search that ``read`` reads, from where :meth:`read_page` does.

        Fewer of them are read at once than of other pages, which wait for no search. Raises :class:`Unavailable` where
        no turn comes in time.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_SEARCH_WAIT):
                    await stack.enter_async_context(self.searches.turn(user))
            except TimeoutError:
                raise Unavailable(
                    "Many searches are under way. Try again in a moment.", code=SEARCH_TIMEOUT, retry_after=1
                ) from None
            return await self._read(read, _SEARCH_WITHIN * self.settings.search_seconds)

    async def _read(self, read: Read[T], within: float) -> T:
        if self.replica is None:
            return await self._from_primary(read)
        return await self.replica.read(read, partial(self._from_primary, read), within)

    async def _from_primary(self, read: Read[T]) -> T:
        async with self.pool.acquire() as connection:
            return await read(connection)
