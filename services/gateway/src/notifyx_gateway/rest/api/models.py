"""Models of the REST API for the OpenAPI document only: clients may rely on what it promises."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel

from notifyx_common.contracts.auth import ApiKey, User
from notifyx_common.contracts.hooks import CreatedHook, Hook
from notifyx_common.contracts.sessions import Session
from notifyx_common.contracts.store.log import Notification
from notifyx_common.contracts.store.subscriptions import Subscriber, Subscription
from notifyx_common.contracts.store.threads import ThreadsPage
from notifyx_common.contracts.store.topics import Topic
from notifyx_common.errors import FieldError
from notifyx_gateway.rest.requests import BatchItem
from notifyx_topics.names import AnyTopicName


class Limit(BaseModel):
    """A rate limit: ``burst`` actions at once, and as many again within ``window`` seconds."""

    name: str
    burst: int
    window: float


class Problem(BaseModel):
    """RFC 9457. Rely on ``code``; ``detail`` is for people. ``errors`` lists the fields of a request that is wrong.

    ``cause`` is for who runs the platform: what lies behind a ``detail`` that says what it means for its reader.
    ``retry_after`` is the exact number of seconds after which the same request may succeed, ``limit`` the rate limit
    that was reached.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] = []
    cause: str = ""
    retry_after: float | None = None
    limit: Limit | None = None


class TokenProblem(Problem):
    """A problem that is RFC 6749's error too."""

    error: str
    error_description: str


class Published(BaseModel):
    """An accepted notification: it is committed, and will be delivered."""

    id: str
    topic: str
    seq: int
    published_at: AwareDatetime


class BatchPublished(Published):
    """An accepted item."""

    status: Literal[201]


class BatchRequest(BaseModel):
    """Up to 1,000 publishes. Each is taken or refused by itself: an item that is wrong is answered in its place."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[BatchItem | Any], Field(min_length=1, max_length=1000)]


class BatchAnswer(BaseModel):
    """One answer for each item, in order."""

    items: list[BatchPublished | Problem]


class HookSecret(CreatedHook):
    """The secret of a webhook, and where to send to: ``url`` holds it, ``signed_url`` needs a signature."""

    url: str
    signed_url: str | None


class HookPublished(BaseModel):
    """An accepted part of a webhook. ``replayed``: it had been published before, and was not published again."""

    status: Literal[201]
    id: str | None = None
    topic: str | None = None
    seq: int | None = None
    published_at: AwareDatetime | None = None
    replayed: bool = False


class HookAnswer(BaseModel):
    """What became of each part, in order."""

    items: list[HookPublished | Problem]


class Acked(BaseModel):
    """The caller's cursor after the acknowledgement, and the numbers of notifications that are still unread, and that
    were removed before the caller acknowledged them. ``revision`` grows each time acknowledgements are taken back."""

    acked_up_to: int
    unread: int
    expired: int
    revision: int


class HistoryPage(BaseModel):
    """Ascending by ``seq``. ``next`` is the ``after`` of the following page, if any."""

    items: list[Notification]
    first_seq: int
    last_seq: int
    next: int | None


class InboxNotification(Notification):
    """A notification, and whether the caller has acknowledged it."""

    acked: bool


class InboxPage(BaseModel):
    """Newest first. ``unread`` is by topic, ``next`` the ``after`` of the following page.

    ``expired`` is by topic, too: how many were removed before the caller acknowledged them, where there are any.
    ``inbox_full``: nobody can send to the caller until the caller has acknowledged some of what was sent.
    """

    items: list[InboxNotification]
    next: str | None
    unread: dict[AnyTopicName, int]
    expired: dict[AnyTopicName, int]
    inbox_full: bool


class ThreadNotification(Notification):
    """A direct message. ``sent``: the caller sent it. ``acked``: whether the caller has acknowledged it; ``null`` in
    what the caller sent to another, since nobody is told what others have read.
    """

    sent: bool
    acked: bool | None


class ThreadPage(BaseModel):
    """The direct messages between the caller and one other, ascending by time; without ``after`` the newest.

    ``next`` is the ``after`` of the page that is older. ``name``: the other's display name, as far as they gave one,
    it is known right now, and there is a message.
    """

    items: list[ThreadNotification]
    next: str | None
    name: str | None


class DirectFoundPage(BaseModel):
    """Direct messages that a search found, received and sent, newest first. ``next`` continues it, also where this page
    is short or empty. ``names``: display names of those to whom the caller sent some, by id, as far as they gave one
    and it is known right now."""

    items: list[ThreadNotification]
    next: str | None
    names: dict[str, str]


class ThreadsOrFound(RootModel[ThreadsPage | DirectFoundPage]):
    """A page of threads or, with ``q``, of the direct messages that were found."""


class FoundPage(BaseModel):
    """What a search found, newest first. ``next`` continues it, also where this page is short or empty."""

    items: list[InboxNotification]
    next: str | None


class HistoryOrFound(RootModel[HistoryPage | FoundPage]):
    """A page of the history or, with ``q``, of what was found."""


class InboxOrFound(RootModel[InboxPage | FoundPage]):
    """A page of the inbox or, with ``q``, of what was found."""


class NamedSubscriber(Subscriber):
    """A subscriber, and the display name they gave; ``null`` when they gave none or it is not known right now."""

    name: str | None


class SubscribersPage(BaseModel):
    """One page of subscribers by user id."""

    items: list[NamedSubscriber]
    next: str | None


class Export(BaseModel):
    """All that the platform holds of one user."""

    exported_at: AwareDatetime
    account: User
    sessions: list[Session]
    api_keys: list[ApiKey]
    webhooks: list[Hook]
    subscriptions: list[Subscription]
    topics: list[Topic]
    inbox: list[InboxNotification]
    published: list[Notification]
    complete: Literal[True]


class CloudEvent(BaseModel):
    """A CloudEvents 1.0 event in its JSON format; extension attributes are kept."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    type: Annotated[str, Field(min_length=1)]
    subject: Annotated[str, Field(min_length=1)] | None = None
    time: Annotated[str, Field(min_length=1)] | None = None
    datacontenttype: Annotated[str, Field(min_length=1)] | None = None
    data: Any = None


class CloudEvents(RootModel[list[CloudEvent]]):
    """A batch of CloudEvents; each is accepted or rejected by itself."""


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(BaseModel):
    """Whether the node takes requests; ``failed`` says what is missing."""

    status: Literal["ok", "not ready"]
    failed: dict[str, str]


class KeySet(BaseModel):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, Any]]


class RevokeForm(BaseModel):
    """``token`` is a refresh token; ``everywhere=true`` ends every session of its user."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=512)]
    token_type_hint: str | None = None
    everywhere: Literal["true", "false"] | None = None
