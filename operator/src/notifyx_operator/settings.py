"""What the operator can be told: where the store is, which namespaces are its own, and how long it waits for what."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from notifyx_common.settings import ServiceSettings


class DeclaredPlatform(BaseModel):
    """The NotifyxPlatform of the operator's own release; ``deployment`` is the operator's, with which it goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=253)
    deployment: str = Field(min_length=1, max_length=253)
    spec: dict[str, Any]


class OperatorSettings(ServiceSettings):
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

    store_deadline: float = Field(default=5.0, gt=0, le=60)
    """Longest time one call to the store may take, its retries included."""

    store_give_up: float = Field(default=60.0, ge=0, le=3600)
    """A deleted resource goes after this many seconds even when the store does not answer; its topic is kept."""

    store_gone: float = Field(default=10.0, ge=0, le=3600)
    """The same where no store is there at all; long enough for one to be replaced."""

    status_parallel: int = Field(default=4, ge=1, le=64)
    """How many topics' status is read and written at one time."""

    install_patience: float = Field(default=30.0, ge=0, le=600)
    """Longest time a start waits for our resource definitions to be there."""

    api_timeout: float = Field(default=10.0, gt=0, le=120)
    """Longest time one call to the Kubernetes API may take."""
