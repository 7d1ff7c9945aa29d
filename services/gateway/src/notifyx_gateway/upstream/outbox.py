"""The gateway's client of the store's email outbox."""

from __future__ import annotations

from collections.abc import Sequence

from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.store.outbox import (
    FENCE_MAILS,
    LEASE_MAILS,
    REPORT_MAILS,
    FenceRequest,
    LeasedMails,
    OutboxLeaseRequest,
    OutboxResult,
    OutboxResults,
)
from notifyx_common.principal import system_principal

REPORT_TIMEOUT = 10.0


class Outbox:
    """The outbox for one dispatcher, ``owner``. Calls raise :class:`~notifyx_common.errors.NotifyxError`."""

    def __init__(self, store: ServiceClient, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._principal = system_principal("dispatcher")

    async def lease_due(self, *, limit: int, lease_seconds: float) -> LeasedMails:
        """Lease due emails."""
        request = OutboxLeaseRequest(limit=limit, lease_seconds=lease_seconds, owner=self._owner)
        return await self._store.send(LEASE_MAILS, request, principal=self._principal)

    async def confirm(self, ids: Sequence[str], *, deadline: float) -> set[str]:
        """Return which of the leased emails may still be sent, within ``deadline`` seconds."""
        request = FenceRequest(ids=list(ids), owner=self._owner)
        return set((await self._store.send(FENCE_MAILS, request, principal=self._principal, deadline=deadline)).ids)

    async def report(self, results: Sequence[OutboxResult]) -> None:
        """Record the results of leased emails."""
        request = OutboxResults(owner=self._owner, results=list(results))
        await self._store.send(REPORT_MAILS, request, principal=self._principal, deadline=REPORT_TIMEOUT)
