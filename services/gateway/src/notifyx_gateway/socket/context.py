"""What all connections share, and the interfaces that the socket needs from the rest of the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.limits import Limits
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.socket.unread import UnreadPusher
from notifyx_gateway.upstream.store import Store

ResolveUser = Callable[[str], Awaitable[ResolvedUser | None]]
"""Returns the user with an id or email, if there is one."""


class Authenticator(Protocol):
    """Verifies credentials, or raises :class:`~notifyx_common.errors.Unauthenticated`."""

    def needs_remote_check(self, token: str) -> bool:
        """Return whether ``token`` can only be verified remotely: it is no access token."""
        ...

    def verify(self, token: str) -> VerifiedToken:
        """Verify an access token with the known signing keys, without I/O."""
        ...

    async def authenticate(self, token: str) -> VerifiedToken:
        """Verify any credential; this may call another service."""
        ...


@dataclass(frozen=True, slots=True)
class SocketContext:
    """Dependencies that every connection receives."""

    hub: Hub
    store: Store
    unread_pusher: UnreadPusher
    authenticator: Authenticator
    resolve_user: ResolveUser
    limits: Limits
    settings: SocketSettings
    metrics: Metrics
    clock: Clock
    background: Background
    security: SecurityLog
