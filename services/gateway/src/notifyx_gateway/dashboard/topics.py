"""The books of the topics that may be shown: what was due, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from notifyx_common.clock import Clock
from notifyx_common.contracts.store.ledger import LedgerRow
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal, system_principal
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)

MOST = 20
"""Topics that are shown: those with the most due."""

FRESH = 30.0
"""Seconds for which the books are shown as they were read: reading them is work for the store."""

DEADLINE = 5.0
PAGE = 200
MOST_PAGES = 25

ANYBODY = Principal(id="system:anybody", kind="system", name="anybody")
"""Who sees what everybody sees: public topics."""


@dataclass(frozen=True, slots=True)
class TopicLedger:
    """One topic's sums. ``due`` must be the sum of the others."""

    row: LedgerRow

    @property
    def balanced(self) -> bool:
        """Whether each notification that was due is accounted for."""
        row = self.row
        return row.due == row.acked + row.pending + row.expired + row.withdrawn


class TopicBooks:
    """Reads the books of the public topics from the store, at most every :data:`FRESH` seconds."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: list[TopicLedger] = []
        self._read_at = -FRESH
        self._lock = asyncio.Lock()

    async def read(self) -> Sequence[TopicLedger]:
        """The books, the largest first; as they were last known while the store does not answer."""
        async with self._lock:
            now = self._clock.monotonic()
            if now - self._read_at >= FRESH:
                self._read_at = now
                try:
                    async with asyncio.timeout(DEADLINE):
                        self._known = await self._ask()
                except (NotifyxError, TimeoutError) as error:
                    log.info("the topics' books were not read", error=str(error))
            return self._known

    async def _ask(self) -> list[TopicLedger]:
        rows = (await self._store.ledger(system_principal("dashboard"))).topics
        public = await self._public()
        shown = sorted((row for row in rows if row.topic in public), key=lambda row: (-row.due, row.topic))
        return [TopicLedger(row) for row in shown[:MOST]]

    async def _public(self) -> set[str]:
        names: set[str] = set()
        after = ""
        for _ in range(MOST_PAGES):
            page = await self._store.topics(ANYBODY, limit=PAGE, after=after)
            names |= {topic.name for topic in page.items if topic.visibility == "public"}
            if page.next is None:
                break
            after = page.next
        return names
