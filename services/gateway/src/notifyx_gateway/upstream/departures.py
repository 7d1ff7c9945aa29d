"""The gateway's client of auth and store for deleted accounts."""

from __future__ import annotations

from collections.abc import Sequence

from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts import departures as calls
from notifyx_common.contracts.store.people import REMOVE_USER, RemovedPiece, RemoveUser, RemoveUserCall
from notifyx_common.principal import Principal, system_principal

PIECE_TIMEOUT = 15.0
"""Seconds for one piece of a removal: it may wait for locks."""


class Departures:
    """Calls raise :class:`~notifyx_common.errors.NotifyxError`."""

    def __init__(self, auth: ServiceClient, store: ServiceClient) -> None:
        self._auth = auth
        self._store = store
        self._principal = system_principal("gateway")

    async def begin(self, principal: Principal, wanted: calls.DeleteAccount) -> calls.Departure:
        """Delete the caller's account at auth."""
        call = calls.DeleteAccountCall(wanted, principal.session or "")
        return await self._auth.send(calls.DELETE_ACCOUNT, call, principal=principal)

    async def lease(self) -> Sequence[calls.Departure]:
        """Return departures to work on, which nobody else gets for a while."""
        return (await self._auth.send(calls.LEASE_DEPARTURES, None)).items

    async def record(self, user_id: str, step: calls.DepartureStep) -> None:
        """Record a step of a departure, which renews its lease."""
        await self._auth.send(calls.DEPARTURE_STEP, calls.DepartureStepCall(user_id, step))

    async def remove(self, user_id: str, wanted: RemoveUser) -> RemovedPiece:
        """Have the store remove a piece of what it holds of the user."""
        call = RemoveUserCall(user_id, wanted)
        return await self._store.send(REMOVE_USER, call, principal=self._principal, deadline=PIECE_TIMEOUT)
