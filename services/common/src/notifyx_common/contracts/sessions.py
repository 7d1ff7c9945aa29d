"""A user's sessions: what is signed in, where from, and the end of one or of all others.

``session`` in a request is that of the caller's access token.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import StringConstraints

from notifyx_common.contracts.call import V1, Call, Model

SessionId = Annotated[str, StringConstraints(max_length=64)]

MAX_SESSIONS = 200
"""Sessions in a list; the ones used last."""

MAX_USER_AGENT = 200
"""Characters of a user agent that are stored."""


class Session(Model):
    """A session. ``user_agent`` and ``address`` are those of its latest sign-in or refresh, empty where not known."""

    id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str
    address: str
    current: bool
    """Whether the caller's own credential is of this session."""


class Sessions(Model):
    """The caller's sessions, the one used last first."""

    items: list[Session]


class EndedSessions(Model):
    """How many sessions have ended."""

    ended: int


@dataclass(frozen=True)
class OwnSession:
    """The session of the caller's access token."""

    session: SessionId = ""


@dataclass(frozen=True)
class SessionPath:
    """The caller's session of that id."""

    session_id: SessionId


SESSIONS = Call("GET", f"{V1}/me/sessions", OwnSession, Sessions, caller="principal")
END_SESSION: Call[SessionPath, None] = Call(
    "DELETE", f"{V1}/me/sessions/{{session_id}}", SessionPath, type(None), caller="principal", status=204
)
END_OTHER_SESSIONS = Call("DELETE", f"{V1}/me/sessions", OwnSession, EndedSessions, caller="principal")
"""Raises 401 ``session_ended`` where the caller's own session has ended."""
