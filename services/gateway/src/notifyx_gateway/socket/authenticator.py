"""What the socket needs from the verification of credentials."""

from __future__ import annotations

from typing import Protocol

from notifyx_common.principal import Principal
from notifyx_common.tokens import VerifiedToken


class Authenticator(Protocol):
    """Verifies credentials, or raises :class:`~notifyx_common.errors.Unauthenticated`."""

    def needs_remote_check(self, token: str) -> bool:
        """Return whether ``token`` can only be verified remotely: it is no access token."""
        ...

    def verify(self, token: str) -> VerifiedToken:
        """Verify an access token with the known signing keys, without I/O."""
        ...

    def current(self, principal: Principal) -> Principal:
        """Return what a verified credential proves now, without I/O."""
        ...

    async def authenticate(self, token: str) -> VerifiedToken:
        """Verify any credential; this may call another service."""
        ...
