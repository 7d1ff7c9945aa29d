"""What the gateway asks of the store.

Batched, on the hot path (principals are listed once and referred to by position; one result an item, in order)::

    POST /internal/v1/publish    PublishBatch  -> {"results": [PublishResult | ItemError, ...]}
    POST /internal/v1/acks       AckBatch      -> {"results": [AckResult | ItemError, ...]}
    POST /internal/v1/joins      JoinBatch     -> {"results": [JoinResult | ItemError, ...]}
    POST /internal/v1/unread     UnreadBatch   -> {"results": [UnreadResult, ...]}

``PublishBatch.batch_id`` makes a retry of the whole batch safe: the store records the results of a batch in the
batch's own transaction and answers a second request for the same ``batch_id`` from that record.

Plain REST with the principal in ``X-Notifyx-Principal``::

    POST   /internal/v1/topics                        NewTopic    -> 201 Topic; 409 topic_exists
    GET    /internal/v1/topics?limit=&after=&q=                   -> Topics
    GET    /internal/v1/topics/{name}                             -> Topic
    PATCH  /internal/v1/topics/{name}                 TopicPatch  -> Topic; 409 topic_owned_by_resource
    DELETE /internal/v1/topics/{name}                             -> 204
    PUT    /internal/v1/topics/{name}/resource        ResourceTopic -> Topic  (system principals only)
    DELETE /internal/v1/topics/{name}/resource?policy=retain|delete   -> 204
    GET    /internal/v1/topics/{name}/subscribers                 -> Subscribers (creators)
    PUT    /internal/v1/topics/{name}/subscription    SubscriptionSettings -> Subscription
    GET    /internal/v1/topics/{name}/subscription                -> Subscription; 404
    DELETE /internal/v1/topics/{name}/subscription                -> 204
    GET    /internal/v1/topics/{name}/notifications?after=&before=&limit= -> History (raw JSON, ascending seq)
    GET    /internal/v1/topics/{name}/acks?after=&before=         -> AckState (the caller's)
    GET    /internal/v1/subscriptions                             -> Subscriptions (the caller's, with unread)
    GET    /internal/v1/inbox?unread=&limit=&after=               -> Inbox
    POST   /internal/v1/unsubscribe                   UnsubscribeToken -> 204 (one-click, no principal)
    POST   /internal/v1/statuses                      StatusesOf  -> TopicStatuses (admins and system)
    GET    /internal/v1/ledger                                    -> Ledger (whole deployment)

Email outbox (the dispatcher in the gateway, system principal)::

    POST   /internal/v1/outbox/claim                  OutboxClaim   -> OutboxLease
    POST   /internal/v1/outbox/confirm                OutboxConfirm -> OutboxConfirmed (fenced ones are left out)
    POST   /internal/v1/outbox/results                OutboxResults -> 204

The name of a user's own inbox topic is ``user:<user id>`` (:func:`inbox_topic`); no topic a user creates can
have a colon in its name. Everywhere a topic name is taken, ``user:<id>`` is too, with the inbox's rules: only its
owner reads and acknowledges, any signed-in user publishes, it cannot be changed or deleted, its owner is always
subscribed.

The feed is a WebSocket, ``/internal/v1/feed``. Every message is one text frame; the first line is a JSON object.

From the gateway::

    {"op": "watch", "topics": {"<name>": {"id": "<topic id>", "after": <seq>}}}  start (or restart) after that seq
    {"op": "unwatch", "topics": ["<name>", ...]}
    {"op": "watch_users", "users": ["<user id>", ...]}      and   {"op": "unwatch_users", ...}
    {"op": "ping", "n": 1}

From the store::

    {"type": "rows", "topic": "<name>", "from": a, "to": b, "count": n, "published_ms": <epoch ms of the oldest>}
        followed by n lines, each the JSON of one notification (:class:`Notification`), ascending by seq. It covers
        every seq in [a, b]: one that is missing among the lines no longer exists (expired). For each watched
        topic a is always the previous b + 1 (or the watch's after + 1): contiguous, without overlap.
    {"type": "acked", "topic": "<name>", "user": "<id>", "up_to": n, "seqs": [...], "unread": n}
    {"type": "subscriptions", "user": "<id>"}               the user's set of subscriptions changed
    {"type": "topic_deleted", "topic": "<name>"}            (the watch has ended)
    {"type": "topic_changed", "topic": "<name>"}            permissions or settings changed: check joins again
    {"type": "pong", "n": 1}
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from notifyx_common.principal import Principal
from notifyx_topics.names import AnyTopicName, TopicName
from notifyx_topics.settings import EmailMode, EmailPolicy, Grant, Retention, Title, Visibility

Body = Annotated[str, StringConstraints(max_length=32_768, pattern=r"^[^\x00]*$")]
Priority = Literal["low", "normal", "high", "urgent"]
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
Seq = Annotated[int, Field(ge=0, le=2**53 - 1, strict=True)]

MAX_DATA_BYTES = 32_768
"""Largest JSON encoding of a notification's ``data``, in bytes."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewNotification(_Request):
    """What a publisher says. At least one of title, body and data is not empty."""

    title: Title = ""
    body: Body = ""
    data: dict[str, Any] | None = None
    priority: Priority = "normal"
    expires_at: AwareDatetime | None = None


class PublishItem(NewNotification):
    """One publish of a batch: ``p`` is the position of its principal, ``key`` its idempotency key."""

    p: int = Field(ge=0)
    topic: AnyTopicName
    key: IdempotencyKey | None = None


class PublishBatch(_Request):
    """Publishes of a tick, in the order they were made (per publisher and topic, ``seq`` follows it)."""

    batch_id: str = Field(pattern="^[0-9a-f]{32}$")
    principals: list[Principal]
    items: list[PublishItem] = Field(min_length=1, max_length=1000)


class PublishResult(BaseModel):
    """An accepted publish. ``duplicate``: its idempotency key had been used; this is the first one's answer."""

    id: str
    topic: str
    seq: int
    published_at: str
    duplicate: bool = False


class ItemError(BaseModel):
    """A refused item of a batch, in the form of :class:`notifyx_common.errors.NotifyxError`."""

    status: int
    code: str
    detail: str


class Notification(BaseModel):
    """A notification on the wire, to clients as well. ``publisher`` is ``{"id", "name"}``."""

    id: str
    topic: str
    seq: int
    title: str
    body: str
    data: dict[str, Any] | None
    priority: Priority
    publisher: dict[str, str]
    published_at: str
    expires_at: str | None = None


class AckItem(_Request):
    """Acknowledge everything up to ``up_to``, or exactly ``seqs``; one of the two."""

    p: int = Field(ge=0)
    topic: AnyTopicName
    up_to: Seq | None = None
    seqs: list[Seq] | None = Field(default=None, min_length=1, max_length=1000)


class AckBatch(_Request):
    """Acknowledgements of a tick."""

    principals: list[Principal]
    items: list[AckItem] = Field(min_length=1, max_length=1000)


class AckResult(BaseModel):
    """The user's cursor after the ack, and what is still unacknowledged."""

    topic: str
    acked_up_to: int
    unread: int


class AckState(BaseModel):
    """What a user has acknowledged: all up to the cursor, and ``seqs`` above it, ascending, of the range asked for.

    ``next`` is the ``after`` with which to ask for more of them, if there are.
    """

    acked_up_to: int
    seqs: list[int]
    next: int | None


class JoinItem(_Request):
    """A channel join: read permission is checked; ``since`` is the last seq the client has seen."""

    p: int = Field(ge=0)
    topic: AnyTopicName
    since: Seq | None = None


class JoinBatch(_Request):
    """Joins of a tick."""

    principals: list[Principal]
    items: list[JoinItem] = Field(min_length=1, max_length=1000)


class JoinResult(BaseModel):
    """Where the topic and the user stand.

    ``first_seq`` is the oldest seq still there (``last_seq + 1`` when none is). ``truncated``: retention removed
    part of what followed ``since``. ``missing``: how many after ``since`` are no longer there, expired ones too.
    """

    topic: str
    topic_id: str
    last_seq: int
    first_seq: int
    acked_up_to: int
    unread: int
    truncated: bool
    missing: int
    subscribed: bool


class UnreadItem(_Request):
    """One (user, topic) pair."""

    user: str
    topic: AnyTopicName


class UnreadBatch(_Request):
    """Pairs whose unread counts are wanted, up to 1,000."""

    items: list[UnreadItem] = Field(min_length=1, max_length=1000)


class UnreadResult(BaseModel):
    """Derived, not counted by hand."""

    user: str
    topic: str
    acked_up_to: int
    unread: int


class NewTopic(_Request):
    """A topic to create; the caller becomes its creator. ``readers`` matter where visibility is private."""

    name: TopicName
    title: Title = ""
    visibility: Visibility = "public"
    publishers: list[Grant] = Field(default=[], max_length=1000)
    readers: list[Grant] = Field(default=[], max_length=1000)
    retention: Retention = Retention()
    email: EmailPolicy = EmailPolicy()


class TopicPatch(_Request):
    """What may change of a topic; absent fields stay."""

    title: Title | None = None
    visibility: Visibility | None = None
    creators: list[Grant] | None = Field(default=None, min_length=1, max_length=100)
    publishers: list[Grant] | None = Field(default=None, max_length=1000)
    readers: list[Grant] | None = Field(default=None, max_length=1000)
    retention: Retention | None = None
    email: EmailPolicy | None = None
    paused: bool | None = None


class Topic(BaseModel):
    """A topic as a reader sees it; ``resource`` names the NotifyxTopic that owns it."""

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


class Topics(BaseModel):
    """One page of topics by name; ``next`` is the ``after`` of the following page."""

    items: list[Topic]
    next: str | None


class SubscriptionSettings(_Request):
    """How a subscriber wants email; absent means the topic's default."""

    email: EmailMode | None = None


class Subscription(BaseModel):
    """A user's lasting subscription to a topic."""

    topic: str
    email: EmailMode
    first_seq: int
    acked_up_to: int
    unread: int
    created_at: datetime


class Subscriptions(BaseModel):
    """All of the caller's subscriptions, the inbox included."""

    items: list[Subscription]


class Subscriber(BaseModel):
    """One subscriber as a topic's creator sees it."""

    user: str
    email: EmailMode
    unread: int
    created_at: datetime


class Subscribers(BaseModel):
    """One page of subscribers by user id."""

    items: list[Subscriber]
    next: str | None


class Inbox(BaseModel):
    """Newest first across every subscription: :class:`Notification` plus ``acked``. ``unread``: topic → count."""

    items: list[dict[str, Any]]
    next: str | None
    unread: dict[str, int]


class History(BaseModel):
    """A page of a topic's log, ascending by seq. ``next`` is the ``after`` of the following page, if any."""

    items: list[dict[str, Any]]
    first_seq: int
    last_seq: int
    next: int | None


class UnsubscribeToken(_Request):
    """The signed token of a List-Unsubscribe link."""

    token: str = Field(max_length=512)


class TopicStatus(BaseModel):
    """What a NotifyxTopic's status shows."""

    name: str
    last_seq: int
    subscribers: int
    unacknowledged: int
    ledger_balanced: bool


class StatusesOf(_Request):
    """The topics whose status is asked for."""

    topics: list[AnyTopicName] = Field(max_length=200)


class TopicStatuses(BaseModel):
    """The status of each of them that is there, in no order."""

    items: list[TopicStatus]


class LedgerRow(BaseModel):
    """One topic's sums over its subscriptions: ``due`` must equal acked + pending + expired + withdrawn."""

    topic: str
    due: int
    acked: int
    pending: int
    expired: int
    withdrawn: int


class EmailLedger(BaseModel):
    """``due`` must equal sent + fenced + pending + dead."""

    due: int
    sent: int
    fenced: int
    pending: int
    dead: int


class Ledger(BaseModel):
    """The deployment's books. ``accepted`` per topic is its last seq."""

    balanced: bool
    topics: list[LedgerRow]
    email: EmailLedger


class OutboxClaim(_Request):
    """Lease up to ``limit`` due emails for ``lease_seconds``."""

    limit: int = Field(default=200, ge=1, le=1000)
    lease_seconds: float = Field(default=60.0, gt=0, le=600)
    owner: str = Field(max_length=128)


class OutboxMail(BaseModel):
    """One due email; ``user`` is resolved to an address by the gateway. ``context`` feeds the mailer's template."""

    id: str
    message_id: str
    user: str
    template: Literal["notification", "digest"]
    context: dict[str, Any]
    unsubscribe_token: str
    attempt: int


class OutboxLease(BaseModel):
    """What was leased; ``oldest_due`` tells how far behind the outbox is, in seconds."""

    mails: list[OutboxMail]
    oldest_due: float


class OutboxConfirm(_Request):
    """Asked immediately before sending: which of these are still leased by ``owner`` and not acknowledged?"""

    ids: list[str] = Field(max_length=1000)
    owner: str = Field(max_length=128)


class OutboxConfirmed(BaseModel):
    """The ids that may be sent."""

    ids: list[str]


class OutboxResult(_Request):
    """``sent``; ``failed`` (backoff, then dead); ``refused`` (dead); ``address_refused`` stops mail to the user;
    ``unverified`` (no verified address: dead with that reason); ``off`` (email is off: back, not counted)."""

    id: str
    status: Literal["sent", "failed", "refused", "unverified", "off"]
    reason: str = Field(default="", max_length=500)
    address_refused: bool = False


class OutboxResults(_Request):
    """What became of leased emails."""

    owner: str = Field(max_length=128)
    results: list[OutboxResult] = Field(max_length=1000)
