"""The gateway's registry outside a cluster: nodes renew their leases in it, and their callers poll it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict, Field

from notifyx_common.contracts.call import V1, Call, Model
from notifyx_common.contracts.callers import Service


class Lease(Model):
    """The registration of a node. Without renewal it ends after ``ttl`` seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(pattern="^[a-z]{1,32}$")
    instance: str = Field(min_length=1, max_length=128, pattern="^[A-Za-z0-9._-]+$")
    url: str = Field(pattern=r"^https?://[^\s/]+$", max_length=300)
    metrics_url: str = Field(default="", max_length=300)
    ttl: float = Field(gt=0.2, le=60)


class LeaseList(Model):
    """Every lease that has not ended."""

    nodes: list[Lease]


@dataclass(frozen=True)
class NodeKey:
    """The service and instance that identify a node."""

    service: str
    instance: str


@dataclass(frozen=True)
class NodeLease:
    """A lease for the node with these names; the lease repeats them."""

    service: str
    instance: str
    body: Lease


_REGISTERED: frozenset[Service] = frozenset({"gateway", "auth", "store", "mailer"})

RENEW_LEASE: Call[NodeLease, None] = Call(
    "PUT", f"{V1}/registry/{{service}}/{{instance}}", NodeLease, type(None), status=204, callers=_REGISTERED
)
END_LEASE: Call[NodeKey, None] = Call(
    "DELETE", f"{V1}/registry/{{service}}/{{instance}}", NodeKey, type(None), status=204, callers=_REGISTERED
)
LIST_LEASES: Call[None, LeaseList] = Call("GET", f"{V1}/registry", type(None), LeaseList, callers=_REGISTERED)
