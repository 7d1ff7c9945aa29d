"""The NotifyxTopic resource (``notifyx.dev/v1alpha1``): what people write in YAML, read strictly.

A resource's ``metadata.name`` is the name of its topic. Unknown fields are refused: a misspelt one would
otherwise be a wish that is silently not granted.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from notifyx_common.contracts.store import EmailMode, EmailPolicy, Grant, ResourceTopic, Retention, Title, TopicName
from notifyx_common.errors import InvalidRequest

API_VERSION = "notifyx.dev/v1alpha1"
KIND = "NotifyxTopic"


class InvalidResource(InvalidRequest):
    """A document is not a valid NotifyxTopic; the sentence names the field and what is wrong with it."""

    code = "invalid_resource"


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, extra="forbid", frozen=True
    )


class RetentionSpec(_Part):
    """How long and how many notifications are kept; whichever bound is reached first."""

    max_age_seconds: int = Field(default=Retention().max_age_seconds, ge=60, le=10 * 365 * 24 * 3600)
    max_count: int = Field(default=Retention().max_count, ge=1, le=10_000_000)


class EmailSpec(_Part):
    """The default of new subscriptions, and the delays of ``unread`` and ``digest`` email in seconds."""

    default: EmailMode = EmailPolicy().default
    unread_after_seconds: int = Field(default=EmailPolicy().unread_after_seconds, ge=1, le=7 * 24 * 3600)
    digest_every_seconds: int = Field(default=EmailPolicy().digest_every_seconds, ge=1, le=30 * 24 * 3600)


class DemandSpec(_Part):
    """The load the topic's owners expect; the platform scales so that it is met."""

    connections: int = Field(default=0, ge=0, le=10_000_000)
    publishes_per_second: int = Field(default=0, ge=0, le=1_000_000)
    emails_per_minute: int = Field(default=0, ge=0, le=1_000_000)


class TopicSpec(_Part):
    """``spec`` of a NotifyxTopic."""

    title: Title = ""
    owners: tuple[Grant, ...] = Field(default=(), max_length=100)
    publishers: tuple[Grant, ...] = Field(default=(), max_length=1000)
    readers: tuple[Grant, ...] = Field(default=(), max_length=1000)
    visibility: Literal["public", "private"] = "public"
    retention: RetentionSpec = RetentionSpec()
    email: EmailSpec = EmailSpec()
    demand: DemandSpec = DemandSpec()
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    paused: bool = False

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        # The same sentences as in the resource definition, for who has no API server to say them.
        if self.visibility == "private" and not self.owners and not self.readers:
            raise ValueError("a private topic needs someone who may read it: name owners or readers")
        if "*" in self.owners:
            raise ValueError("* is everyone; everyone cannot own a topic")
        return self


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: TopicName
    namespace: str = Field(default="default", pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    uid: str = Field(default="", max_length=64)
    creationTimestamp: AwareDatetime | None = None  # noqa: N815 - as Kubernetes writes it


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    apiVersion: Literal["notifyx.dev/v1alpha1"]  # noqa: N815 - as Kubernetes writes it
    kind: Literal["NotifyxTopic"]
    metadata: _Metadata
    spec: TopicSpec = TopicSpec()
    status: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """One NotifyxTopic. ``created`` decides between two that claim one topic; ``None`` sorts last."""

    namespace: str
    name: str
    uid: str
    spec: TopicSpec
    created: datetime | None = None

    @property
    def reference(self) -> str:
        """``namespace/name``, as the API shows the owner of a topic."""
        return f"{self.namespace}/{self.name}"

    def to_store(self) -> ResourceTopic:
        """What the store is asked for."""
        spec = self.spec
        return ResourceTopic(
            resource=self.reference,
            uid=self.uid,
            title=spec.title,
            visibility=spec.visibility,
            owners=list(spec.owners),
            publishers=list(spec.publishers),
            readers=list(spec.readers),
            retention=Retention(max_age_seconds=spec.retention.max_age_seconds, max_count=spec.retention.max_count),
            email=EmailPolicy(
                default=spec.email.default,
                unread_after_seconds=spec.email.unread_after_seconds,
                digest_every_seconds=spec.email.digest_every_seconds,
            ),
            paused=spec.paused,
        )


def parse(document: Mapping[str, Any]) -> Resource:
    """Read one document, by JSON's own types: a number is not taken for text, nor text for a number.

    Raises :class:`InvalidResource`, which says what is wrong with the first three wrong fields.
    """
    try:
        read = _Document.model_validate_json(orjson.dumps(document), strict=True)
    except orjson.JSONEncodeError:
        raise InvalidResource("the document holds what JSON has no form for.") from None
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InvalidResource("; ".join(_sentence(item) for item in wrong[:3]) + f"{more}.") from None
    metadata = read.metadata
    return Resource(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        spec=read.spec,
        created=metadata.creationTimestamp,
    )


_PARTS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): _Document,
    ("spec",): TopicSpec,
    ("spec", "retention"): RetentionSpec,
    ("spec", "email"): EmailSpec,
    ("spec", "demand"): DemandSpec,
}


def _sentence(item: ErrorDetails) -> str:
    """Pydantic's complaint in the words of who writes YAML."""
    path = tuple(str(part) for part in item["loc"])
    field = ".".join(path) or "the document"
    if item["type"] == "missing":
        return f"{field} is missing"
    if item["type"] == "extra_forbidden":
        fields = _PARTS[path[:-1]].model_fields if path[:-1] in _PARTS else {}
        near = difflib.get_close_matches(path[-1], [one.alias or name for name, one in fields.items()], n=1)
        return f"{field}: there is no such field{f' (is it {near[0]}?)' if near else ''}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{field}: {message[0].lower()}{message[1:]}"
