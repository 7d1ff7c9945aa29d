"""Settings of a topic: permissions, retention and email policy, with all limits and defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from notifyx_topics.visible import require_visible

GRANT = r"^[^\x00-\x20\x7f]+$"
Grant = Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=GRANT)]
"""A user id, a verified email, a ServiceAccount (``system:serviceaccount:ns:name``), or ``*`` for anyone signed in."""

Title = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
TopicTitle = Annotated[Title, AfterValidator(require_visible)]
"""The title of a topic: empty, or something that can be seen."""

Visibility = Literal["public", "private"]
EmailMode = Literal["never", "every", "unread", "digest"]

MAX_OWNERS = 100
MAX_GRANTS = 1000
"""Maximum number of entries in ``publishers`` or ``readers``."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Retention(_Settings):
    """Maximum age and number of the notifications of a topic; the limit that is reached first applies."""

    max_age_seconds: int = Field(default=30 * 24 * 3600, ge=60, le=10 * 365 * 24 * 3600)
    max_count: int = Field(default=100_000, ge=1, le=10_000_000)


class EmailPolicy(_Settings):
    """The topic's default for new subscriptions, and the delays of ``unread`` and ``digest`` mail in seconds."""

    default: EmailMode = "never"
    unread_after_seconds: int = Field(default=900, ge=1, le=7 * 24 * 3600)
    digest_every_seconds: int = Field(default=24 * 3600, ge=1, le=30 * 24 * 3600)


class ResourceTopic(_Settings):
    """The desired state of a topic, from a NotifyxTopic. ``resource`` is its ``namespace/name``."""

    resource: str = Field(max_length=300)
    uid: str = Field(max_length=64)
    title: TopicTitle = ""
    visibility: Visibility = "public"
    owners: list[Grant] = Field(default=[], max_length=MAX_OWNERS)
    publishers: list[Grant] = Field(default=[], max_length=MAX_GRANTS)
    readers: list[Grant] = Field(default=[], max_length=MAX_GRANTS)
    retention: Retention = Retention()
    email: EmailPolicy = EmailPolicy()
    paused: bool = False
