"""The NotifyxTopic resource (``notifyx.dev/v1alpha1``), as written in YAML, read strictly.

A resource's ``metadata.name`` is the name of its topic. Unknown fields are rejected: a misspelt one would
otherwise have no effect, without notice.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from notifyx_topics.names import RESERVED, RESERVED_REASON, TopicName
from notifyx_topics.settings import (
    MAX_GRANTS,
    MAX_OWNERS,
    EmailPolicy,
    Grant,
    ResourceTopic,
    Retention,
    TopicTitle,
    Visibility,
)
from notifyx_topics.words import reason

API_VERSION = "notifyx.dev/v1alpha1"
KIND = "NotifyxTopic"


Namespace = Annotated[str, StringConstraints(max_length=63, pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


MAX_CHARACTERS = 2 << 20
"""Maximum size of a document. Kubernetes stores none above 1.5 MB."""


class InvalidResource(ValueError):
    """A document is not a valid NotifyxTopic; ``reason`` names the field and the mistake."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Part(BaseModel):
    """A part of a resource, with fields in camel case as in Kubernetes."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, extra="forbid", frozen=True
    )


class RetentionSpec(_Part, Retention):
    """Maximum age and number of notifications; the limit that is reached first applies."""


class EmailSpec(_Part, EmailPolicy):
    """The default of new subscriptions, and the delays of ``unread`` and ``digest`` email in seconds."""


class DemandSpec(_Part):
    """The load that the topic's owners expect; the platform scales for it."""

    connections: int = Field(default=0, ge=0, le=10_000_000)
    publishes_per_second: int = Field(default=0, ge=0, le=1_000_000)
    emails_per_minute: int = Field(default=0, ge=0, le=1_000_000)


class TopicSpec(_Part):
    """``spec`` of a NotifyxTopic."""

    title: TopicTitle = ""
    owners: tuple[Grant, ...] = Field(default=(), max_length=MAX_OWNERS)
    publishers: tuple[Grant, ...] = Field(default=(), max_length=MAX_GRANTS)
    readers: tuple[Grant, ...] = Field(default=(), max_length=MAX_GRANTS)
    visibility: Visibility = "public"
    retention: RetentionSpec = RetentionSpec()
    email: EmailSpec = EmailSpec()
    demand: DemandSpec = DemandSpec()
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    successors: tuple[Namespace, ...] = Field(default=(), max_length=20)
    paused: bool = False

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        # The same sentences as in the resource definition, for use without an API server.
        if self.visibility == "private" and not self.owners and not self.readers:
            raise ValueError("a private topic needs someone who may read it: name owners or readers")
        if "*" in self.owners:
            raise ValueError("* is everyone; everyone cannot own a topic")
        return self


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(RESERVED_REASON.format(name))
    return name


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[TopicName, AfterValidator(_not_reserved)]
    namespace: Namespace = "default"
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
    """One NotifyxTopic. Of several that claim a topic the first by ``created`` has it; ``None`` sorts last."""

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
        """Return the desired state of the topic, for the store."""
        spec = self.spec
        return ResourceTopic(
            resource=self.reference,
            uid=self.uid,
            title=spec.title,
            visibility=spec.visibility,
            owners=list(spec.owners),
            publishers=list(spec.publishers),
            readers=list(spec.readers),
            retention=Retention(**spec.retention.model_dump()),
            email=EmailPolicy(**spec.email.model_dump()),
            paused=spec.paused,
        )


def parse(document: Mapping[str, Any]) -> Resource:
    """Parse one document by JSON types: a number is not accepted as text, nor text as a number.

    A spec that is null counts as absent, as in Kubernetes.

    Raises :class:`InvalidResource`, which describes the first three wrong fields.
    """
    if "spec" in document and document["spec"] is None:
        document = {name: value for name, value in document.items() if name != "spec"}
    try:
        read = _Document.model_validate_json(_json(document), strict=True)
    except _TooLarge:
        raise InvalidResource(f"the document has more than {MAX_CHARACTERS:,} characters, aliases included.") from None
    except _NotJson:
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


class _NotJson(ValueError):
    """A value that exists in YAML but not in JSON."""


class _TooLarge(Exception):
    """A document that is larger than :data:`MAX_CHARACTERS`, once its aliases are written out."""


def _json(document: Mapping[str, Any]) -> str:
    """Return ``document`` as JSON; times become text. Raises :class:`_NotJson`, :class:`_TooLarge`."""
    try:
        return json.dumps(_Plain().of(document), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise _NotJson from error


class _Plain:
    """Copies one document with times as text. Ten lines of YAML whose aliases name each other are gigabytes then."""

    def __init__(self) -> None:
        self._left = MAX_CHARACTERS

    def of(self, value: object) -> object:
        """Raises :class:`_NotJson` for a value that JSON cannot represent, and :class:`_TooLarge`."""
        self._take(1)
        match value:
            case str():
                self._take(len(value))
                return value
            case None | bool() | int() | float():
                return value
            case date():
                return value.isoformat()
            case Mapping() if all(isinstance(key, str) for key in value):
                self._take(sum(map(len, value)))
                return {key: self.of(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.of(inner) for inner in value]
        raise _NotJson

    def _take(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise _TooLarge


_PARTS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): _Document,
    ("spec",): TopicSpec,
    ("spec", "retention"): RetentionSpec,
    ("spec", "email"): EmailSpec,
    ("spec", "demand"): DemandSpec,
}


def _sentence(item: ErrorDetails) -> str:
    """Return pydantic's error in a sentence about the YAML."""
    path = tuple(str(part) for part in item["loc"])
    field = ".".join(path) or "the document"
    if item["type"] == "missing":
        return f"{field} is missing"
    if item["type"] == "extra_forbidden":
        fields = _PARTS[path[:-1]].model_fields if path[:-1] in _PARTS else {}
        near = difflib.get_close_matches(path[-1], [one.alias or name for name, one in fields.items()], n=1)
        return f"{field}: there is no such field{f' (is it {near[0]}?)' if near else ''}"
    message = reason(item).removesuffix(".")
    return f"{field}: {message[0].lower()}{message[1:]}"
