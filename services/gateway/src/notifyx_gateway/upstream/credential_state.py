"""What auth has said of credentials that have not expired: which have ended, and who has which address and name. Pure.

An entry lasts as long as a credential from before it can be shown, so there are no more than what auth changes in some
minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from notifyx_common.contracts.auth import CredentialChange
from notifyx_common.principal import Principal
from notifyx_gateway.errors import CredentialEnded, InvalidApiKey

Affects = Callable[[Principal], bool]
"""Whether some changes are about a principal."""


class CredentialState:
    """The changes that are still of importance. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self.known = False
        """Whether auth has been asked since this node started."""
        self._changes: dict[tuple[str, str], tuple[CredentialChange, float]] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def apply(self, changes: Iterable[CredentialChange], now: float) -> None:
        """Add ``changes``, in their order, and evict those whose time is over. A change may come again."""
        self._changes = {key: entry for key, entry in self._changes.items() if entry[1] > now}
        for change in changes:
            self._changes[change.kind, change.subject] = change, now + change.seconds

    def current(self, principal: Principal) -> Principal:
        """Return what the credential that proved ``principal`` proves now.

        Raises :class:`CredentialEnded`, :class:`InvalidApiKey`.
        """
        if not self._changes:
            return principal
        if self._find("account", principal.id):
            raise CredentialEnded("The account of this credential is no more.")
        if principal.key_id is not None:
            if self._find("api_key", principal.key_id):
                raise InvalidApiKey("The API key was deleted.")
        elif self._find("session", principal.session) or self._ended_before(principal):
            raise CredentialEnded("The session has ended. Sign in again.")
        now: dict[str, Any] = {}
        verified = self._find("verified", principal.id)
        if verified is not None and (verified.email != principal.email or not principal.email_verified):
            now |= {"email": verified.email, "email_verified": True}
        renamed = self._find("account_changed", principal.id)
        if renamed is not None and renamed.name not in (None, principal.name):
            now["name"] = renamed.name
        return principal.model_copy(update=now) if now else principal

    def _find(self, kind: str, subject: str | None) -> CredentialChange | None:
        found = None if subject is None else self._changes.get((kind, subject))
        return None if found is None else found[0]

    def _ended_before(self, principal: Principal) -> bool:
        ended = self._find("sessions", principal.id)
        return ended is not None and principal.kind == "user" and principal.epoch < ended.epoch


def about(changes: Iterable[CredentialChange]) -> Affects:
    """Return whether a principal may be another one, or none, after ``changes``."""
    subjects = {change.subject for change in changes}

    def affects(principal: Principal) -> bool:
        return principal.id in subjects or principal.key_id in subjects or principal.session in subjects

    return affects
