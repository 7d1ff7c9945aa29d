"""Decides whether a credential may open a WebSocket or a long-poll session."""

from __future__ import annotations

from dataclasses import dataclass, field

from notifyx_common.errors import Unauthenticated, Unavailable
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.socket.context import Authenticator
from notifyx_gateway.socket.upgrade import Rejection


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted client: with a verified access token, or with a key that is verified before the first join."""

    verified: VerifiedToken | None = None
    key: str | None = field(default=None, repr=False)


def admit(authenticator: Authenticator, credential: str | None) -> Admission | Rejection:
    """Check ``credential`` without I/O.

    Reject it with 403 if it is not valid, and with 503 if this node cannot verify it: a node that has just started has
    no signing keys until auth has answered.
    """
    if not credential:
        return Rejection(403, "The socket needs an access token or an API key.")
    if authenticator.needs_remote_check(credential):
        return Admission(key=credential)
    try:
        return Admission(verified=authenticator.verify(credential))
    except Unauthenticated as error:
        return Rejection(403, error.reason)
    except Unavailable as error:
        return Rejection(503, error.reason)
