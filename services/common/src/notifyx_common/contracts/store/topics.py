"""Topics: create, list, read, change and delete them; claims by NotifyxTopic resources; their status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from notifyx_common.contracts.call import MAX_ITEM_BYTES, MAX_PAGE_BYTES, V1, Call, Model, Number, RequestModel
from notifyx_common.contracts.callers import Service
from notifyx_common.contracts.store.names import QueryText, TopicPath
from notifyx_topics.names import AnyTopicName, TopicName
from notifyx_topics.settings import EmailPolicy, Grant, ResourceTopic, Retention, TopicTitle, Visibility


class NewTopic(RequestModel):
    """A topic to create; the caller becomes its creator. ``readers`` matter where visibility is private."""

    name: TopicName
    title: TopicTitle = ""
    visibility: Visibility = "public"
    publishers: list[Grant] = Field(default=[], max_length=1000)
    readers: list[Grant] = Field(default=[], max_length=1000)
    retention: Retention = Retention()
    email: EmailPolicy = EmailPolicy()


class TopicPatch(RequestModel):
    """A change of a topic; absent fields stay unchanged."""

    title: TopicTitle | None = None
    visibility: Visibility | None = None
    creators: list[Grant] | None = Field(default=None, min_length=1, max_length=100)
    publishers: list[Grant] | None = Field(default=None, max_length=1000)
    readers: list[Grant] | None = Field(default=None, max_length=1000)
    retention: Retention | None = None
    email: EmailPolicy | None = None
    paused: bool | None = None


class Topic(Model):
    """A topic, as shown to a reader; ``resource`` names the NotifyxTopic that owns it.

    ``version`` is that of its settings, to be compared with those that sockets are told; empty from a store of the
    previous release.
    """

    id: str
    name: str
    title: str
    visibility: Visibility
    creators: list[str]
    publishers: list[str]
    readers: list[str]
    retention: Retention
    email: EmailPolicy
    paused: bool
    resource: str | None
    last_seq: int
    first_seq: int
    created_at: datetime
    can_publish: bool
    can_manage: bool
    version: str = ""


class Topics(Model):
    """One page of topics by name; ``next`` is the ``after`` of the following page."""

    items: list[Topic]
    next: str | None


class TopicStatus(Model):
    """The figures in the status of a NotifyxTopic; ``released_by`` is the resource that released the topic last."""

    name: str
    last_seq: int
    subscribers: int
    unacknowledged: int
    ledger_balanced: bool
    released_by: str | None = None


class TopicStatusQuery(RequestModel):
    """The topics whose status is requested."""

    topics: list[AnyTopicName] = Field(max_length=200)


class TopicStatuses(Model):
    """The status of each requested topic that exists, in no order."""

    items: list[TopicStatus]


@dataclass(frozen=True)
class TopicsQuery:
    """A page of the topics that the caller may see: those after a name, whose name or title holds ``q``."""

    limit: Annotated[Number, Field(ge=1, le=500)] = 50
    after: QueryText = ""
    q: QueryText = ""


@dataclass(frozen=True)
class TopicChange:
    """A change of one topic."""

    name: AnyTopicName
    body: TopicPatch


@dataclass(frozen=True)
class TopicClaim:
    """A resource's claim for the topic of that name, with the desired state.

    ``adopt``: whether a topic that no resource owns may be acquired; it has consented.
    """

    name: AnyTopicName
    body: ResourceTopic
    adopt: Literal["refuse", "accept"] = "refuse"


@dataclass(frozen=True)
class TopicRelease:
    """The release of a topic whose resource is gone; with ``uid``, only if that resource still owns it."""

    name: AnyTopicName
    policy: Literal["retain", "delete"] = "retain"
    uid: QueryText = ""


_DECLARING: frozenset[Service] = frozenset({"operator", "local"})
"""Who brings topics in line with NotifyxTopic resources."""

CREATE_TOPIC = Call("POST", f"{V1}/topics", NewTopic, Topic, caller="principal", status=201)
"""Raises 409 ``topic_exists``."""

LIST_TOPICS = Call(
    "GET",
    f"{V1}/topics",
    TopicsQuery,
    Topics,
    caller="principal",
    callers=_DECLARING | {"gateway"},
    large=MAX_PAGE_BYTES + MAX_ITEM_BYTES,
)
READ_TOPIC = Call(
    "GET", f"{V1}/topics/{{name}}", TopicPath, Topic, caller="principal", callers=_DECLARING | {"gateway"}
)
CHANGE_TOPIC = Call("PATCH", f"{V1}/topics/{{name}}", TopicChange, Topic, caller="principal")
"""Raises 409 ``topic_owned_by_resource``."""

DELETE_TOPIC: Call[TopicPath, None] = Call(
    "DELETE", f"{V1}/topics/{{name}}", TopicPath, type(None), caller="principal", status=204
)
CLAIM_TOPIC = Call("PUT", f"{V1}/topics/{{name}}/resource", TopicClaim, Topic, caller="principal", callers=_DECLARING)
"""For system principals only, as is the release. Raises 409 ``topic_exists`` and ``claimed_by_other_resource``."""

RELEASE_TOPIC: Call[TopicRelease, None] = Call(
    "DELETE",
    f"{V1}/topics/{{name}}/resource",
    TopicRelease,
    type(None),
    caller="principal",
    callers=_DECLARING,
    status=204,
)
TOPIC_STATUSES = Call(
    "POST",
    f"{V1}/statuses",
    TopicStatusQuery,
    TopicStatuses,
    caller="principal",
    callers=_DECLARING,
    idempotent=True,
)
"""For admins and system principals."""
