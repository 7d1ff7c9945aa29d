"""Which service may make which call, and whom it may speak for.

Each service has a token of its own for each service that it calls. So what a service receives is of no use elsewhere,
and a service that is taken over can do what that service does, no more. A call's ``callers`` say who may make it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from notifyx_common.errors import Forbidden, Unauthenticated
from notifyx_common.principal import Principal

Service = Literal["gateway", "auth", "store", "mailer", "operator", "local"]
"""``local`` is ``notifyx up``."""

ANY_SERVICE = "any"
"""Who shows the one token of older versions, which all services shared."""

TOKEN_HEADER = "X-Notifyx-Service-Token"  # noqa: S105 - the name of a header
"""Holds the service's own token while ``Authorization`` holds the shared one, which older versions expect there."""

CLUSTER_TOKENS: tuple[tuple[Service, Service], ...] = (
    ("gateway", "auth"),
    ("gateway", "store"),
    ("gateway", "mailer"),
    ("gateway", "gateway"),
    ("mailer", "mailer"),
    ("operator", "store"),
    ("operator", "gateway"),
)
"""The tokens of a cluster: who calls whom."""

LOCAL_TOKENS: tuple[tuple[Service, Service], ...] = (
    ("gateway", "auth"),
    ("gateway", "store"),
    ("gateway", "mailer"),
    ("gateway", "gateway"),
    ("auth", "gateway"),
    ("store", "gateway"),
    ("mailer", "gateway"),
    ("mailer", "mailer"),
    ("local", "store"),
)
"""The tokens outside a cluster, where each service registers with the gateways."""

_SYSTEM_PARTS: Mapping[str, Collection[str]] = {
    "gateway": frozenset({"system:gateway", "system:dispatcher", "system:dashboard", "system:anybody"}),
    "operator": frozenset({"system:operator"}),
    "local": frozenset({"system:local"}),
}


class UnknownService(Unauthenticated):
    """The request has no token of a service that may call this one."""

    code = "unknown_service"


class TlsRequired(Forbidden):
    """The internal call came without TLS to a node that requires it."""

    code = "tls_required"


class ServiceNotAllowed(Forbidden):
    """The calling service is known, but may not make this call or not speak for this principal."""

    code = "service_not_allowed"


def may_speak_for(service: str, principal: Principal) -> bool:
    """Return whether calls of ``service`` may be made for ``principal``.

    The gateway authenticates users, API keys and ServiceAccounts, and is trusted about all of them. As a part of the
    platform, a service speaks only for itself.
    """
    if service == ANY_SERVICE:
        return True
    if principal.kind == "system":
        return principal.id in _SYSTEM_PARTS.get(service, ())
    return service == "gateway"


def token_headers(token: str, shared: str = "") -> dict[str, str]:
    """Return the headers of a call with the service's own token, and with the shared one where there is one."""
    if not shared or shared == token:
        return {"Authorization": f"Bearer {token}"}
    return {"Authorization": f"Bearer {shared}", TOKEN_HEADER: token}
