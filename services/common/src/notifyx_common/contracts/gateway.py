"""What a gateway reports to the other parts of the platform."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from notifyx_common.contracts.call import V1, Call


class LiveConnections(BaseModel):
    """How many joins and event streams this gateway serves live, by topic, and how many connections it has open.

    Topics without any are not named, nor are inboxes.
    """

    model_config = ConfigDict(frozen=True)

    topics: dict[str, int] = Field(default_factory=dict)
    open: int = Field(default=0, ge=0)


CONNECTIONS: Call[None, LiveConnections] = Call("GET", f"{V1}/connections", type(None), LiveConnections)
