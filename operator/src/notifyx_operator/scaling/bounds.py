"""Reads a NotifyxPlatform's spec and its Deployments from the objects that the API server returns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from notifyx_common.errors import InvalidRequest
from notifyx_operator.scaling.replica_plan import Cause
from notifyx_topics.words import reason

Service = Literal["gateway", "auth", "store", "mailer"]


class InvalidPlatform(InvalidRequest):
    """A NotifyxPlatform is invalid; the reason names the field."""

    code = "invalid_platform"


class _Part(BaseModel):
    # Ignore unknown fields: a newer chart may add one that this operator does not know.
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=False, extra="ignore", frozen=True)


class Capacity(_Part):
    """The load that one replica carries."""

    connections: int | None = Field(default=None, ge=1)
    publishes_per_second: int | None = Field(default=None, ge=1)
    emails_per_minute: int | None = Field(default=None, ge=1)


class ServiceSpec(_Part):
    """The bounds of one service's Deployment."""

    deployment: str = Field(min_length=1, max_length=253)
    minimum: int = Field(ge=0, le=10_000)
    maximum: int = Field(ge=0, le=10_000)
    capacity: Capacity = Capacity()
    stabilization_seconds: int = Field(default=300, ge=0, le=24 * 3600)
    maximum_latency_milliseconds: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"the minimum ({self.minimum}) is above the maximum ({self.maximum})")
        return self


class PlatformSpec(_Part):
    """``spec`` of a NotifyxPlatform."""

    services: dict[Service, ServiceSpec] = Field(default_factory=dict)


def read_spec(document: Mapping[str, Any]) -> PlatformSpec:
    """Read the spec of a listed NotifyxPlatform. Raises :class:`InvalidPlatform`."""
    spec = document.get("spec")
    if spec is None:
        raise InvalidPlatform("The spec is missing: name the services to scale in spec.services.")
    try:
        return PlatformSpec.model_validate_json(orjson.dumps(spec), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(["spec", *(str(part) for part in first["loc"])])
        raise InvalidPlatform(f"{field}: {reason(first)}") from None


@dataclass(frozen=True, slots=True)
class Replicas:
    """A Deployment's replicas: declared, existing and ready."""

    declared: int
    existing: int
    ready: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there should be, the cause (for programs) and the reason (for people).

    ``replicas`` is ``None`` if the operator does not scale the Deployment.
    """

    replicas: int | None
    cause: Cause | Literal["Autoscaled", "NoDeployment"]
    reason: str


def read_replicas(deployment: Mapping[str, Any]) -> Replicas:
    """Read the replicas of a Deployment. One that declares none has one."""
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    return Replicas(
        declared=int(spec.get("replicas", 1)),
        existing=int(status.get("replicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
    )


def autoscaler_of(deployment: str, autoscalers: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the name of the autoscaler that scales ``deployment``, if one does."""
    for one in autoscalers:
        target = (one.get("spec") or {}).get("scaleTargetRef") or {}
        if target.get("kind") == "Deployment" and target.get("name") == deployment:
            return str((one.get("metadata") or {}).get("name", ""))
    return None
