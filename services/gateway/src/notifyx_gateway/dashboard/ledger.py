"""The ledger of the topics that may be shown: what was due to their subscribers, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.ledger import LedgerRow
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal, system_principal
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)

MAX_TOPICS = 20
"""Maximum number of topics shown: those with the most due."""

LEDGER_TTL = 30.0
"""How long a ledger is shown before it is read again, in seconds: the store computes it."""

READ_TIMEOUT = 5.0
VIEWER_TIMEOUT = 0.5
"""How long a viewer waits for a ledger, in seconds; a later one is shown at the next refresh."""

PAGE_SIZE = 200
MAX_PAGES = 25

ANONYMOUS = Principal(id="system:anybody", kind="system", name="anybody")
"""A principal who sees public topics only."""


@dataclass(frozen=True, slots=True)
class LedgerView:
    """One topic's sums; ``due`` must be the sum of the others."""

    row: LedgerRow

    @property
    def balanced(self) -> bool:
        """Whether every notification that was due is accounted for."""
        row = self.row
        return row.due == row.acked + row.pending + row.expired + row.withdrawn


class LedgerReader:
    """Reads the ledger of the public topics from the store, at most every :data:`LEDGER_TTL` seconds."""

    def __init__(self, store: Store, clock: Clock, background: Background) -> None:
        self._store = store
        self._clock = clock
        self._known: list[LedgerView] = []
        self._read_at = -LEDGER_TTL
        self._tasks = background.tasks()
        self._refreshing: asyncio.Task[None] | None = None

    async def read(self) -> Sequence[LedgerView]:
        """Return the topics, those with the most due first; the last known ones while the store does not answer."""
        now = self._clock.monotonic()
        if self._refreshing is None and now - self._read_at >= LEDGER_TTL:
            self._read_at = now
            self._refreshing = self._tasks.spawn("dashboard ledger", self._refresh())
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing], timeout=VIEWER_TIMEOUT)
        return self._known

    async def aclose(self) -> None:
        """Cancel a read that runs."""
        await self._tasks.close()

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                self._known = await self._fetch()
        except (NotifyxError, TimeoutError) as error:
            log.info("ledger_read_failed", error=str(error))
        finally:
            self._refreshing = None

    async def _fetch(self) -> list[LedgerView]:
        rows = (await self._store.ledger(system_principal("dashboard"))).topics
        public = await self._public()
        shown = sorted((row for row in rows if row.topic in public), key=lambda row: (-row.due, row.topic))
        return [LedgerView(row) for row in shown[:MAX_TOPICS]]

    async def _public(self) -> set[str]:
        names: set[str] = set()
        after = ""
        for _ in range(MAX_PAGES):
            page = await self._store.topics(ANONYMOUS, limit=PAGE_SIZE, after=after)
            names |= {topic.name for topic in page.items if topic.visibility == "public"}
            if page.next is None:
                break
            after = page.next
        return names
