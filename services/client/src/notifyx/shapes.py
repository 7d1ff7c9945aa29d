"""What the API answers, as frozen models. Fields a newer server adds are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Priority = Literal["low", "normal", "high", "urgent"]
EmailMode = Literal["never", "every", "unread", "digest"]
Visibility = Literal["public", "private"]


class Shape(BaseModel):
    """Base of all: cannot be changed, and does not mind unknown fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Config(Shape):
    """What a deployment tells before anybody logs in."""

    socket_url: str
    sign_up: bool
    api_version: str = "1"
    version: str = ""


class User(Shape):
    """The caller, as :meth:`notifyx.Client.me` answers."""

    id: str
    email: str
    name: str
    role: str
    email_verified: bool


class NewUser(Shape):
    """A new account."""

    id: str
    email: str
    name: str


class Publisher(Shape):
    """Who published."""

    id: str = ""
    name: str = ""


class Notification(Shape):
    """A notification. ``seq`` counts up within its topic, without a gap when it is published."""

    id: str
    topic: str
    seq: int
    title: str = ""
    body: str = ""
    data: dict[str, Any] | None = None
    priority: Priority = "normal"
    publisher: Publisher = Publisher()
    published_at: datetime
    expires_at: datetime | None = None


class InboxNotification(Notification):
    """A notification, and whether the caller has acknowledged it."""

    acked: bool


class Published(Shape):
    """An accepted notification: it is committed, and will be delivered."""

    id: str
    topic: str
    seq: int
    published_at: datetime


class Acked(Shape):
    """Where the caller stands after an acknowledgement."""

    acked_up_to: int
    unread: int


class HistoryPage(Shape):
    """Ascending by ``seq``. ``next`` is the ``after`` of the following page, if there is one."""

    items: tuple[Notification, ...]
    first_seq: int
    last_seq: int
    next: int | None


class InboxPage(Shape):
    """Newest first. ``unread`` is by topic, ``next`` the ``after`` of the following page, if there is one."""

    items: tuple[InboxNotification, ...]
    next: str | None
    unread: dict[str, int]


class Retention(Shape):
    """How long (in seconds) and how many notifications are kept; whichever bound is reached first."""

    max_age_seconds: int = 30 * 24 * 3600
    max_count: int = 100_000


class EmailPolicy(Shape):
    """The email of new subscriptions, and the delays of ``unread`` and ``digest`` in seconds."""

    default: EmailMode = "never"
    unread_after_seconds: int = 900
    digest_every_seconds: int = 24 * 3600


class Topic(Shape):
    """A topic as a reader sees it; ``resource`` names the NotifyxTopic that owns it, if one does."""

    id: str
    name: str
    title: str
    visibility: Visibility
    creators: tuple[str, ...]
    publishers: tuple[str, ...]
    readers: tuple[str, ...]
    retention: Retention
    email: EmailPolicy
    paused: bool
    resource: str | None
    last_seq: int
    first_seq: int
    created_at: datetime
    can_publish: bool
    can_manage: bool


class TopicsPage(Shape):
    """By name. ``next`` is the ``after`` of the following page, if there is one."""

    items: tuple[Topic, ...]
    next: str | None


class Subscription(Shape):
    """The caller's lasting subscription to a topic."""

    topic: str
    email: EmailMode
    first_seq: int
    acked_up_to: int
    unread: int
    created_at: datetime


class Subscriptions(Shape):
    """All of the caller's subscriptions, the inbox included."""

    items: tuple[Subscription, ...]


class Joined(Shape):
    """Where a topic and the caller stand when a subscription goes live."""

    last_seq: int
    first_seq: int
    acked_up_to: int = 0
    unread: int = 0
    truncated: bool = False
    missing: int = 0


class Grant(Shape):
    """RFC 6749 5.1."""

    access_token: str
    expires_in: int
    refresh_token: str | None = None


class Readiness(Shape):
    """Whether a gateway takes requests; ``failed`` says what is missing."""

    status: Literal["ok", "not ready"]
    failed: dict[str, str]


class Status(Shape):
    """A deployment as the caller meets it. ``user`` is ``None`` when nobody is logged in."""

    url: str
    config: Config
    readiness: Readiness
    user: User | None
    subscriptions: tuple[Subscription, ...]
