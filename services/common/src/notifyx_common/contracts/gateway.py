"""What a gateway tells the other parts. ``GET /internal/v1/connections``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LiveConnections(BaseModel):
    """How many joins and event streams this gateway serves live, by topic, and how many connections it has open.

    Topics without any are not named, nor are inboxes.
    """

    model_config = ConfigDict(frozen=True)

    topics: dict[str, int] = Field(default_factory=dict)
    open: int = Field(default=0, ge=0)
