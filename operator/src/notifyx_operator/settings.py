"""Settings of the operator, read from the environment (``NOTIFYX_<FIELD>``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifyx_common.calls.prometheus import PrometheusSettings
from notifyx_topics.names import TopicName
from notifyx_topics.quotas import Quotas

NamePattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._*-]{1,128}$")]


class DeclaredPlatform(BaseModel):
    """The NotifyxPlatform of the operator's own release, deleted with the operator's Deployment ``deployment``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=253)
    deployment: str = Field(min_length=1, max_length=253)
    spec: dict[str, Any]


class OperatorSettings(PrometheusSettings):
    """The operator's settings."""

    port: int = Field(default=8080, ge=0, le=65535)
    """Port of ``/healthz`` and ``/readyz``; 0 takes a free one."""

    namespaces: tuple[str, ...] = ()
    """Namespaces whose resources are managed (JSON list); empty: the whole cluster."""

    topic_names: dict[str, tuple[NamePattern, ...]] = Field(default_factory=dict)
    """Patterns of the names that a namespace's topics may have, in which ``*`` stands for any characters (JSON).

    The namespace ``*`` stands for those without patterns of their own.
    """

    adoption: Literal["consent", "always"] = "consent"
    """Whether a topic that exists passes to a resource with consent only, or always."""

    quotas: Quotas = Quotas()
    """How many topics a namespace may have, and how much declared demand counts (JSON)."""

    platform: DeclaredPlatform | None = None
    """The NotifyxPlatform to create (JSON). A chart cannot hold a resource whose definition it installs itself."""

    resync_seconds: float = Field(default=30.0, ge=0.2, le=3600)
    """Interval of the resync, which compares every topic with its resource and repairs drift, in seconds."""

    platform_seconds: float = Field(default=10.0, ge=0.2, le=3600)
    """Interval at which the Deployments are compared with the bounds of their NotifyxPlatform, in seconds."""

    gateway_step: float = Field(default=60.0, ge=0, le=3600)
    """Seconds between two gateways removed by a scale-in: the clients of one must have reconnected first."""

    lease_seconds: float = Field(default=300.0, ge=0.3, le=3600)
    """How long another operator that does not renew its Lease counts as one that manages topics, in seconds.

    Long enough for an upgrade or the loss of a node: another operator would make the topics in its own store.
    """

    unseen_patience: float = Field(default=60.0, ge=0, le=3600)
    """How long Prometheus may lack a ready node before that is reported as a problem, in seconds."""

    probe_url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    """Base URL of the gateways to probe; empty: no prober."""

    probe_socket: str = Field(default="", pattern=r"^(wss?://[^@\s]+)?$")
    """URL of its socket, like ``ws://notifyx-gateway:4001/socket``."""

    probe_token_file: Path | None = None
    """File with the prober's token: of its ServiceAccount, for the audience of the gateway."""

    probe_account: str = Field(default="", max_length=320)
    """Who the prober is for the platform: ``system:serviceaccount:NAMESPACE:NAME``, the owner of the topic."""

    probe_topic: TopicName = "notifyx-probe"
    """Topic of the probes, which no NotifyxTopic may have."""

    probe_seconds: float = Field(default=10.0, ge=0, le=3600)
    """Seconds between two probes; 0: no prober."""

    store_deadline: float = Field(default=5.0, gt=0, le=60)
    """Timeout of one call to the store including its retries, in seconds."""

    store_give_up: float = Field(default=60.0, ge=0, le=3600)
    """A deleted resource is released after this many seconds even if the store does not answer; the topic stays."""

    store_gone: float = Field(default=10.0, ge=0, le=3600)
    """The same if the store has no endpoint, in seconds; long enough to replace a store."""

    status_parallel: int = Field(default=4, ge=1, le=64)
    """Maximum number of concurrent status writes: for a resync, and again for topics that have just changed."""

    install_patience: float = Field(default=30.0, ge=0, le=600)
    """How long a start waits for the resource definitions, in seconds."""

    api_timeout: float = Field(default=10.0, gt=0, le=120)
    """Timeout of one call to the Kubernetes API, in seconds."""
