"""What the operator can be told: where the store is, which namespaces are its own, and how long it waits for what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from notifyx_common.calls.prometheus import PrometheusSettings
from notifyx_topics.names import TopicName


class DeclaredPlatform(BaseModel):
    """The NotifyxPlatform of the operator's own release; ``deployment`` is the operator's, with which it goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=253)
    deployment: str = Field(min_length=1, max_length=253)
    spec: dict[str, Any]


class OperatorSettings(PrometheusSettings):
    """The operator's settings; every variable starts with ``NOTIFYX_``, like ``NOTIFYX_RESYNC_SECONDS``."""

    port: int = Field(default=8080, ge=0, le=65535)
    """Port of ``/healthz`` and ``/readyz``; 0 takes a free one."""

    namespaces: tuple[str, ...] = ()
    """Namespaces whose resources are looked after (JSON list); empty: the whole cluster."""

    platform: DeclaredPlatform | None = None
    """The NotifyxPlatform to keep (JSON). A chart cannot hold a resource whose definition it brings itself."""

    resync_seconds: float = Field(default=30.0, ge=0.2, le=3600)
    """How often every topic is compared with its resource, so that drift is repaired."""

    platform_seconds: float = Field(default=10.0, ge=0.2, le=3600)
    """How often the Deployments are compared with the bounds of their NotifyxPlatform."""

    gateway_step: float = Field(default=60.0, ge=0, le=3600)
    """Seconds between two gateways that go: the clients of one have to find new ones before the next follows."""

    unseen_patience: float = Field(default=60.0, ge=0, le=3600)
    """How long Prometheus may not have heard of a node that is ready, before that is called a problem."""

    probe_url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    """Base URL of the front door that is probed; empty: none is."""

    probe_socket: str = Field(default="", pattern=r"^(wss?://[^@\s]+)?$")
    """URL of its socket, like ``ws://notifyx-gateway:4001/socket``."""

    probe_token_file: Path | None = None
    """The file with the token that the probe shows: its ServiceAccount's, for the audience of the gateway."""

    probe_topic: TopicName = "notifyx-probe"
    """The probe's own topic; it makes it."""

    probe_seconds: float = Field(default=10.0, ge=0, le=3600)
    """Time between two probes; 0: none."""

    store_deadline: float = Field(default=5.0, gt=0, le=60)
    """Longest time one call to the store may take, its retries included."""

    store_give_up: float = Field(default=60.0, ge=0, le=3600)
    """A deleted resource goes after this many seconds even when the store does not answer; its topic is kept."""

    store_gone: float = Field(default=10.0, ge=0, le=3600)
    """The same where no store is there at all; long enough for one to be replaced."""

    status_parallel: int = Field(default=4, ge=1, le=64)
    """How many topics' status is written at one time: by a resync, and as many of those that have just changed."""

    install_patience: float = Field(default=30.0, ge=0, le=600)
    """Longest time a start waits for our resource definitions to be there."""

    api_timeout: float = Field(default=10.0, gt=0, le=120)
    """Longest time one call to the Kubernetes API may take."""
