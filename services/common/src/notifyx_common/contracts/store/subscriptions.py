"""Subscriptions: a user's own, a topic's subscribers, and the one-click end of email."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from notifyx_common.contracts.call import V1, Call, Model, Number, Raw, RequestModel
from notifyx_common.contracts.store.names import QueryText, TopicPath
from notifyx_topics.names import AnyTopicName
from notifyx_topics.settings import EmailMode


class SubscriptionSettings(RequestModel):
    """How a subscriber wants email; absent means the topic's default."""

    email: EmailMode | None = None


class Subscription(Model):
    """A user's subscription to a topic.

    ``expired``: how many were removed before the user acknowledged them, until the user acknowledges past the last one.
    """

    topic: str
    email: EmailMode
    first_seq: int
    acked_up_to: int
    unread: int
    expired: int = 0
    created_at: datetime


class Subscriptions(Model):
    """All of the caller's subscriptions, the inbox included."""

    items: list[Subscription]


class Subscriber(Model):
    """One subscriber as a topic's creator sees it."""

    user: str
    email: EmailMode
    unread: int
    expired: int = 0
    created_at: datetime


class Subscribers(Model):
    """One page of subscribers by user id."""

    items: list[Subscriber]
    next: str | None


class UnsubscribeToken(RequestModel):
    """The signed token of a List-Unsubscribe link."""

    token: str = Field(max_length=512)
    topics: list[AnyTopicName] | None = Field(default=None, max_length=100)
    """The topics among those of the token that are meant; without it all."""


class EmailedTopic(Model):
    """A topic whose email an unsubscribe link ends."""

    name: str
    title: str


class EmailedTopics(Model):
    """The topics of an unsubscribe link of which its user still gets email."""

    topics: list[EmailedTopic]


@dataclass(frozen=True)
class SubscriptionRequest:
    """The caller's subscription to the topic of that name."""

    name: AnyTopicName
    body: SubscriptionSettings


@dataclass(frozen=True)
class SubscribersQuery:
    """A page of a topic's subscribers, for those who may manage it: those after a user id."""

    name: AnyTopicName
    limit: Annotated[Number, Field(ge=1, le=1000)] = 100
    after: QueryText = ""


SUBSCRIBE = Call("PUT", f"{V1}/topics/{{name}}/subscription", SubscriptionRequest, Subscription, caller="principal")
SUBSCRIPTION = Call("GET", f"{V1}/topics/{{name}}/subscription", TopicPath, Subscription, caller="principal")
UNSUBSCRIBE: Call[TopicPath, None] = Call(
    "DELETE", f"{V1}/topics/{{name}}/subscription", TopicPath, type(None), caller="principal", status=204
)
SUBSCRIPTIONS: Call[None, Raw[Subscriptions]] = Call(
    "GET", f"{V1}/subscriptions", type(None), Raw[Subscriptions], caller="principal"
)
SUBSCRIBERS = Call("GET", f"{V1}/topics/{{name}}/subscribers", SubscribersQuery, Subscribers, caller="principal")
STOP_EMAILS: Call[UnsubscribeToken, None] = Call(
    "POST", f"{V1}/unsubscribe", UnsubscribeToken, type(None), idempotent=True, status=204
)
"""One-click unsubscribe, without a principal: the token names the user and the topics."""

EMAILED_TOPICS = Call("POST", f"{V1}/unsubscribe/topics", UnsubscribeToken, EmailedTopics, idempotent=True, hedged=True)
"""What :data:`STOP_EMAILS` ends for the token; changes nothing."""
