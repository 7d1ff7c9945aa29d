"""The gateway's registry.

``PUT``/``DELETE /internal/v1/registry/{service}/{instance}``, ``GET /internal/v1/registry``.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Lease(BaseModel):
    """A node says that it is there; without renewal it is gone after ``ttl`` seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(pattern="^[a-z]{1,32}$")
    instance: str = Field(min_length=1, max_length=128, pattern="^[A-Za-z0-9._-]+$")
    url: str = Field(pattern=r"^http://[^\s/]+$", max_length=300)
    metrics_url: str = Field(default="", max_length=300)
    ttl: float = Field(gt=0.2, le=60)


class Nodes(BaseModel):
    """Every node whose lease is alive."""

    nodes: list[Lease]
