"""Whether a credential opens a socket or a long-poll session: one judgement for both."""

from __future__ import annotations

from dataclasses import dataclass, field

from notifyx_common.errors import Unauthenticated, Unavailable
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.socket.context import Authenticator
from notifyx_gateway.socket.upgrade import Rejection


@dataclass(frozen=True, slots=True)
class Admission:
    """A client that may connect: by a verified access token, or by a key that is looked up before its first join."""

    verified: VerifiedToken | None = None
    key: str | None = field(default=None, repr=False)


def admit(authenticator: Authenticator, credential: str | None) -> Admission | Rejection:
    """Judge ``credential`` without waiting for anybody.

    It is refused with 403 where it is not valid, and with 503 where this node cannot tell: one that has just started
    knows no signing key before auth has answered it.
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
