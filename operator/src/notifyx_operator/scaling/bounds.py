"""What a NotifyxPlatform says and what its Deployments are, read from what the API server shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from notifyx_common.errors import InvalidRequest
from notifyx_operator.scaling.planner import Cause

Service = Literal["gateway", "auth", "store", "mailer"]


class InvalidPlatform(InvalidRequest):
    """A NotifyxPlatform that cannot be followed; the sentence names the field."""

    code = "invalid_platform"


class _Part(BaseModel):
    # A field that a later chart adds must not stop an operator that does not know it yet.
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=False, extra="ignore", frozen=True)


class Capacity(_Part):
    """What one replica carries."""

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
    """The spec of a listed NotifyxPlatform. Raises :class:`InvalidPlatform`."""
    try:
        return PlatformSpec.model_validate_json(orjson.dumps(document.get("spec") or {}), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(["spec", *(str(part) for part in first["loc"])])
        raise InvalidPlatform(f"{field}: {first['msg'].removeprefix('Value error, ')}.") from None


@dataclass(frozen=True, slots=True)
class Replicas:
    """A Deployment's replicas: as declared, as they are, and how many of them are ready."""

    declared: int
    existing: int
    ready: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there should be, and why: a word for programs, a sentence for people.

    ``wanted`` is ``None`` where the operator has no say.
    """

    wanted: int | None
    cause: Cause | Literal["Autoscaled", "NoDeployment"]
    reason: str


def read_replicas(deployment: Mapping[str, Any]) -> Replicas:
    """The replicas of a Deployment as the API shows it; one that declares none has one."""
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    return Replicas(
        declared=int(spec.get("replicas", 1)),
        existing=int(status.get("replicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
    )


def autoscaler_of(deployment: str, autoscalers: Iterable[Mapping[str, Any]]) -> str | None:
    """The name of the autoscaler that scales ``deployment``, if one does."""
    for one in autoscalers:
        target = (one.get("spec") or {}).get("scaleTargetRef") or {}
        if target.get("kind") == "Deployment" and target.get("name") == deployment:
            return str((one.get("metadata") or {}).get("name", ""))
    return None
