"""A gateway's internal API."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifyx_common.contracts.call import V1, Call


class LiveConnections(BaseModel):
    """The number of live joins and event streams of this gateway, by topic, and of its open connections.

    Topics without any are left out, and so are inboxes.
    """

    model_config = ConfigDict(frozen=True)

    topics: dict[str, int] = Field(default_factory=dict)
    open: int = Field(default=0, ge=0)


class UserNames(BaseModel):
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
