"""Decides whether a credential may open a WebSocket or a long-poll session on this node."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from notifyx_common.alarms import Alarms
from notifyx_common.errors import NotifyxError, Unauthenticated
from notifyx_common.limiting.places import Cap, Caps, Place, Places
from notifyx_common.limiting.turns import KeyedTurns
from notifyx_common.metrics import Metrics, PoolUsage
from notifyx_common.security_log import SecurityLog
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.socket.authenticator import Authenticator
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.socket.upgrade import Rejection

MAX_PROOFS = 64
MAX_PROOFS_PER_ADDRESS = 16
"""Maximum numbers of credentials that are verified remotely at once; the others wait."""

ANSWER_SHARE = 0.8
"""Share of the time to prove oneself after which a credential counts as not verified, so that there is an answer."""

_REASONS: dict[Cap, Rejection] = {
    "user": Rejection(429, "This account has as many connections to this node as it may; close one."),
    "address": Rejection(429, "This address has as many connections to this node as it may."),
    "node": Rejection(503, "This node has all the connections that it takes; try again."),
}


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted client. ``key`` is its credential if it has to be verified remotely, again and again."""

    verified: VerifiedToken
    place: Place
    key: str | None = field(default=None, repr=False)


class Admissions:
    """Admits clients: with a verified credential, and with a place by user, address and node."""

    def __init__(
        self,
        authenticator: Authenticator,
        settings: SocketSettings,
        metrics: Metrics,
        security: SecurityLog,
        alarms: Alarms,
    ) -> None:
        self._authenticator = authenticator
        self._alarms = alarms
        self._security = security
        self._timeout = ANSWER_SHARE * settings.proof_timeout
        caps = Caps(settings.max_connections_per_user, settings.max_connections_per_address, settings.max_connections)
        self._places = Places(caps)
        self._max_waiting = settings.max_unproved
        self._max_waiting_per_address = settings.max_unproved_per_address
        self._waiting = 0
        self._waiting_by_address: Counter[str | None] = Counter()
        self._proofs = asyncio.Semaphore(MAX_PROOFS)
        self._proofs_by_address = KeyedTurns(MAX_PROOFS_PER_ADDRESS)
        self._rejected = metrics.counter("notifyx_connections_rejected_total")
        metrics.observe_pool("connections", lambda: PoolUsage(self._places.taken, caps.node))

    def decide(self, credential: str | None, address: str | None) -> Admission | Rejection | None:
        """Decide without I/O; ``None`` if the credential can only be verified by :meth:`prove`.

        A credential that is not valid is rejected with 403. It is 503 if this node cannot verify it: a node that has
        just started has no signing keys until auth has answered.
        """
        if not credential:
            return Rejection(403, "The socket needs an access token or an API key.")
        if self._authenticator.needs_remote_check(credential):
            return None
        try:
            verified = self._authenticator.verify(credential)
        except NotifyxError as error:
            return self._reject(error, address)
        return self._admit(verified, address, None)

    async def prove(self, credential: str, address: str | None) -> Admission | Rejection:
        """Verify a credential remotely, within the time that a client has to prove who it is."""
        if self._waiting >= self._max_waiting:
            return self._refuse("node", address)
        if address is not None and self._waiting_by_address[address] >= self._max_waiting_per_address:
            return self._refuse("address", address)
        self._waiting += 1
        self._waiting_by_address[address] += 1
        try:
            return await self._prove(credential, address)
        finally:
            self._waiting -= 1
            self._waiting_by_address[address] -= 1
            if not self._waiting_by_address[address]:
                del self._waiting_by_address[address]

    async def _prove(self, credential: str, address: str | None) -> Admission | Rejection:
        try:
            async with asyncio.timeout(self._timeout), self._turn_of(address), self._proofs:
                verified = await self._authenticator.authenticate(credential)
        except TimeoutError:
            return Rejection(503, "The credential could not be verified in time; try again.")
        except NotifyxError as error:
            return self._reject(error, address)
        return self._admit(verified, address, credential)

    def _turn_of(self, address: str | None) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext() if address is None else self._proofs_by_address.turn(address)

    def _admit(self, verified: VerifiedToken, address: str | None, key: str | None) -> Admission | Rejection:
        if (alarm := self._alarms.error()) is not None:
            return Rejection(503, alarm.reason, alarm.retry_after or 0.0)
        place = self._places.take(verified.principal.id, address)
        if isinstance(place, Place):
            return Admission(verified, place, key)
        return self._refuse(place, address, actor=verified.principal.id)

    def _refuse(self, cap: Cap, address: str | None, actor: str = "") -> Rejection:
        self._rejected.labels(cap).inc()
        reason = f"connections_by_{cap}"
        self._security.record("capacity_limit", "refused", actor=actor, address=address or "", reason=reason)
        return _REASONS[cap]

    def _reject(self, error: NotifyxError, address: str | None) -> Rejection:
        self._security.record_rejection(error, address=address or "")
        return Rejection(403 if isinstance(error, Unauthenticated) else 503, error.reason)
