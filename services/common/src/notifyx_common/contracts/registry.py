"""The gateway's registry, for services outside a cluster: nodes renew their leases, and whoever calls them polls it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from notifyx_common.contracts.call import V1, Call


class Lease(BaseModel):
    """A node says that it is there; without renewal it is gone after ``ttl`` seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(pattern="^[a-z]{1,32}$")
    instance: str = Field(min_length=1, max_length=128, pattern="^[A-Za-z0-9._-]+$")
    url: str = Field(pattern=r"^http://[^\s/]+$", max_length=300)
    metrics_url: str = Field(default="", max_length=300)
    ttl: float = Field(gt=0.2, le=60)


class LeaseList(BaseModel):
    """Every node whose lease is alive."""

    nodes: list[Lease]


@dataclass(frozen=True)
class NodeKey:
    """A node by its names."""

    service: str
    instance: str


@dataclass(frozen=True)
class NodeLease:
    """A lease for the node of those names, which the lease repeats."""

    service: str
    instance: str
    body: Lease


RENEW_LEASE: Call[NodeLease, None] = Call(
    "PUT", f"{V1}/registry/{{service}}/{{instance}}", NodeLease, type(None), status=204
)
END_LEASE: Call[NodeKey, None] = Call(
    "DELETE", f"{V1}/registry/{{service}}/{{instance}}", NodeKey, type(None), status=204
)
LIST_LEASES: Call[None, LeaseList] = Call("GET", f"{V1}/registry", type(None), LeaseList)
