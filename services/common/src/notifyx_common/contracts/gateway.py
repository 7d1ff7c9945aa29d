"""A gateway's internal API."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from notifyx_common.contracts.call import V1, Call


class LiveConnections(BaseModel):
    """The number of live joins and event streams of this gateway, by topic, and of its open connections.

    Topics without any are left out, and so are inboxes.
    """

    model_config = ConfigDict(frozen=True)

    topics: dict[str, int] = Field(default_factory=dict)
    open: int = Field(default=0, ge=0)


CONNECTIONS: Call[None, LiveConnections] = Call(
    "GET", f"{V1}/connections", type(None), LiveConnections, callers=frozenset({"gateway", "operator"})
)
