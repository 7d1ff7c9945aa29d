"""Recognises the service that makes an internal call, by its token."""

from __future__ import annotations

import hmac

from notifyx_common.contracts.callers import ANY_SERVICE, ServiceNotAllowed, UnknownService
from notifyx_common.serving.current import current_state
from notifyx_common.settings import ServiceSettings


class Callers:
    """The services that may call this one."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._tokens = [(name, token.get_secret_value()) for name, token in settings.internal_callers.items()]
        self._shared = settings.internal_token.get_secret_value() if settings.internal_token is not None else None

    def identify(self, authorization: str, own: str | None) -> str:
        """Return the service whose token a request has in ``Authorization``, or as its ``own`` in :data:`TOKEN_HEADER`.

        Raises :class:`UnknownService`.
        """
        scheme, _, token = authorization.partition(" ")
        if own is None and scheme != "Bearer":
            token = ""
        given = token if own is None else own
        known = [name for name, expected in self._tokens if _equal(given, expected)]
        if known:
            return known[0]
        if self._shared is not None and own is None and _equal(given, self._shared):
            return ANY_SERVICE
        raise UnknownService("This path is for Notifyx services only.")


def calling_service() -> str:
    """Return the service that makes the current internal call."""
    return current_state().service


def require_caller(callers: frozenset[str]) -> None:
    """Raise :class:`ServiceNotAllowed` unless the current internal call comes from one of ``callers``."""
    service = calling_service()
    if service != ANY_SERVICE and service not in callers:
        raise ServiceNotAllowed(f"The service '{service}' may not make this call.")


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
