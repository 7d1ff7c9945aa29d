"""A gateway's internal API."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from notifyx_common.contracts.call import V1, Call, Model
from notifyx_common.contracts.callers import Service


class LiveConnections(Model):
    """The number of live joins and event streams of this gateway, by topic, and of its open connections.

    Topics without any are left out, and so are inboxes.
    """

    model_config = ConfigDict(frozen=True)

    topics: dict[str, int] = Field(default_factory=dict)
    open: int = Field(default=0, ge=0)


class UserNames(Model):
    """Ids and email addresses of users, up to 1,000."""

    model_config = ConfigDict(frozen=True)

    users: list[Annotated[str, StringConstraints(max_length=320)]] = Field(max_length=1000)


UNKNOWN_USERS = Call(
    "POST", f"{V1}/users:unknown", UserNames, UserNames, idempotent=True, callers=frozenset({"gateway", "operator"})
)
"""Which of these are not those of users."""

CONNECTIONS: Call[None, LiveConnections] = Call(
    "GET", f"{V1}/connections", type(None), LiveConnections, callers=frozenset({"gateway", "operator"})
)

LONG_POLL = f"{V1}/longpoll"
"""The path of requests to long-poll sessions of this gateway that reached another one.

GET polls and POST pushes, with the session's token in :data:`LONG_POLL_TOKEN` and the lines as the body. They are
answered as the client's request is; 404 if this gateway has no such session.
"""

LONG_POLL_TOKEN = "X-Phoenix-Longpoll-Token"  # noqa: S105 - the name of a header

LONG_POLL_CALLERS: frozenset[Service] = frozenset({"gateway"})
