"""Looks up whether the users that NotifyxTopics name exist, by a request to a gateway."""

from __future__ import annotations

from collections.abc import Iterable

from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.gateway import UNKNOWN_USERS, UserNames
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger

log = get_logger(__name__)

TIMEOUT = 3.0
"""Timeout of one request, in seconds."""

BATCH = 1000


class UserLookup:
    """Asks the gateways, which ask auth."""

    def __init__(self, gateways: ServiceClient) -> None:
        self._gateways = gateways

    async def unknown(self, names: Iterable[str]) -> frozenset[str] | None:
        """Return those of the ids and email addresses that no user has; ``None`` if no gateway can say."""
        requested = sorted(set(names))
        if not self._gateways.endpoints:
            return None
        found: set[str] = set()
        try:
            for start in range(0, len(requested), BATCH):
                batch = UserNames(users=requested[start : start + BATCH])
                found.update((await self._gateways.send(UNKNOWN_USERS, batch, deadline=TIMEOUT)).users)
        except NotifyxError as error:
            log.info("user_lookup_failed", reason=error.reason)
            return None
        return frozenset(found)
