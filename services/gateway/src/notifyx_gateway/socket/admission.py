"""Whether a credential opens a socket or a long-poll session: one judgement for both."""

from __future__ import annotations

from dataclasses import dataclass, field

from notifyx_common.errors import Unauthenticated, Unavailable
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.socket.realm import Authenticator
from notifyx_gateway.socket.upgrade import Refusal


@dataclass(frozen=True, slots=True)
class Admission:
    """A client that may connect: by a verified access token, or by a key that is looked up before its first join."""

    verified: VerifiedToken | None = None
    key: str | None = field(default=None, repr=False)


def admit(authenticator: Authenticator, credential: str | None) -> Admission | Refusal:
    """Judge ``credential`` without waiting for anybody.

    It is refused with 403 where it is not valid, and with 503 where this node cannot tell: one that has just started
    knows no signing key before auth has answered it.
    """
    if not credential:
        return Refusal(403, "The socket needs an access token or an API key.")
    if authenticator.needs_look_up(credential):
        return Admission(key=credential)
    try:
        return Admission(verified=authenticator.verify(credential))
    except Unauthenticated as error:
        return Refusal(403, error.reason)
    except Unavailable as error:
        return Refusal(503, error.reason)
