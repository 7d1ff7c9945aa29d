"""Keeps the incidents where a restart does not end them, and learns what other gateways have observed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

from notifyx_common.background import Tasks
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.incidents import Incident as StoredIncident
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_gateway.dashboard.incidents import SHORTEST, IncidentLog

log = get_logger(__name__)

SYNC_INTERVAL = 30.0
"""Seconds between two exchanges without news; incidents that continue are reported again."""

NEWS_INTERVAL = 1.0
"""Least seconds between two exchanges. An end is reported at once: this gateway may be killed after it."""

RETRY_INTERVAL = 5.0
"""Least seconds after one that failed, unless something was observed since: the store's own outage may have ended."""

Merge = Callable[[Sequence[StoredIncident]], Awaitable[list[StoredIncident]]]
"""Merges what this gateway has observed into the list of all, and returns that. Raises :class:`NotifyxError`."""


class IncidentSync:
    """Exchanges ``incidents`` with the list of all gateways."""

    def __init__(self, incidents: IncidentLog, merge: Merge, clock: Clock) -> None:
        self._incidents = incidents
        self._merge = merge
        self._clock = clock
        self._tried = -1
        self._begun = self._known = -math.inf
        self._failed = False
        self.running = False
        """Whether an exchange is under way."""

    def start(self, tasks: Tasks) -> None:
        """Exchange in the background, where it is time."""
        now = self._clock.monotonic()
        since_known = self._known + SYNC_INTERVAL
        if not self.running and now >= min(self._news_due(), max(since_known, self._begun + RETRY_INTERVAL)):
            self.running, self._begun = True, now
            tasks.spawn("incidents", self._exchange())

    def pause(self) -> float:
        """Return in how many seconds :meth:`start` is wanted again because of news; infinity where there is none."""
        due = max(0.0, self._news_due() - self._clock.monotonic())
        return min(due, SHORTEST.total_seconds()) if self._incidents.begins(self._clock.now()) else due

    def _news_due(self) -> float:
        if not self._incidents.has_unreported(self._clock.now()):
            return math.inf
        waits = self._failed and self._incidents.changes == self._tried
        return self._begun + (RETRY_INTERVAL if waits else NEWS_INTERVAL)

    async def _exchange(self) -> None:
        incidents, now = self._incidents, self._clock.now()
        changes = self._tried = incidents.changes
        self._failed = True
        try:
            merged = await self._merge(incidents.lasting(now))
            self._failed = False
        except NotifyxError as error:
            log.info("incidents_not_kept", reason=error.technical)
            return
        finally:
            self.running = False
        if incidents.changes == changes:
            self._known = self._clock.monotonic()
            incidents.adopt(merged, now)
