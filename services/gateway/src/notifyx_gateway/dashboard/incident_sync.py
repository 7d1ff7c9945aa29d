"""Keeps the incidents where a restart does not end them, and learns what other gateways have observed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from notifyx_common.background import Tasks
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.incidents import Incident as Kept
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_gateway.dashboard.incidents import IncidentLog

log = get_logger(__name__)

SYNC_INTERVAL = 30.0
"""Seconds between two exchanges without news; incidents that go on are told again."""

RETRY_INTERVAL = 5.0
"""Least seconds between two exchanges. While the store is away, what was observed waits here."""

Merge = Callable[[Sequence[Kept]], Awaitable[list[Kept]]]
"""Merges what this gateway has observed into the list of all, and returns that. Raises :class:`NotifyxError`."""


class IncidentSync:
    """Exchanges ``incidents`` with the list of all gateways."""

    def __init__(self, incidents: IncidentLog, merge: Merge, clock: Clock) -> None:
        self._incidents = incidents
        self._merge = merge
        self._clock = clock
        self._changes = -1
        self._next = 0.0
        self._known = 0.0
        self._running = False

    def start(self, tasks: Tasks) -> None:
        """Exchange in the background, where it is time."""
        now = self._clock.monotonic()
        news = self._incidents.changes != self._changes
        if not self._running and now >= self._next and (news or now - self._known >= SYNC_INTERVAL):
            self._running, self._next = True, now + RETRY_INTERVAL
            tasks.spawn("incidents", self._exchange())

    async def _exchange(self) -> None:
        incidents, now = self._incidents, self._clock.now()
        changes = incidents.changes
        try:
            merged = await self._merge(incidents.lasting(now))
        except NotifyxError as error:
            log.info("incidents_not_kept", reason=error.technical)
            return
        finally:
            self._running = False
        self._known = self._clock.monotonic()
        if incidents.changes == changes:
            self._changes = changes
            incidents.adopt(merged, now)
