"""Frozen models of the API's answers. Fields that a newer server adds are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Priority = Literal["low", "normal", "high", "urgent"]
EmailMode = Literal["never", "every", "unread", "digest"]
Visibility = Literal["public", "private"]
Scope = Literal["read", "publish", "manage"]


class Model(BaseModel):
    """Base of all models: frozen, ignores unknown fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Config(Model):
    """Public configuration of a deployment."""

    socket_url: str
    sign_up: bool
    api_version: str = "1"
    version: str = ""


class User(Model):
    """The caller, as returned by :meth:`notifyx.Client.me`."""

    id: str
    email: str
    name: str
    role: str
    email_verified: bool


class NewUser(Model):
    """A new account."""

    id: str
    email: str
    name: str


class KeyInfo(Model):
    """An API key, without the key itself. No ``topics``: all of its owner's."""

    id: str
    name: str
    topics: list[str]
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class CreatedKey(KeyInfo):
    """A new API key, and the only answer that holds it: ``key``."""

    key: str


class ApiKeys(Model):
    """The caller's API keys."""

    items: list[KeyInfo]


class SessionInfo(Model):
    """A session; ``user_agent`` and ``address`` are those of its latest use, empty where not known."""

    id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str
    address: str
    current: bool


class Sessions(Model):
    """The caller's sessions."""

    items: list[SessionInfo]


class EndedSessions(Model):
    """How many sessions have ended."""

    ended: int


class Hook(Model):
    """The secret of a webhook, without the secret itself."""

    id: str
    topic: str
    kind: str
    name: str
    signed: bool
    created_at: datetime
    last_used_at: datetime | None = None


class CreatedHook(Hook):
    """A new secret of a webhook, and where to send to: ``url`` holds it, ``signed_url`` needs a signature."""

    secret: str
    signing_secret: str | None = None
    url: str
    signed_url: str | None = None


class Hooks(Model):
    """The caller's secrets of webhooks."""

    items: list[Hook]


class Publisher(Model):
    """The publisher of a notification."""

    id: str = ""
    name: str = ""


class Notification(Model):
    """A notification. ``seq`` is its number in the topic: 1, 2, 3, … without gaps."""

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


class Published(Model):
    """The answer to a publish: the notification is committed, and will be delivered."""

    id: str
    topic: str
    seq: int
    published_at: datetime


class Acked(Model):
    """The caller's position after an acknowledgement; ``expired`` were removed before the caller acknowledged them.

    ``revision`` grows each time acknowledgements are taken back.
    """

    acked_up_to: int
    unread: int
    expired: int = 0
    revision: int = 0


class HistoryPage(Model):
    """Notifications ascending by ``seq``. ``next`` is the ``after`` of the following page, if there is one."""

    items: tuple[Notification, ...]
    first_seq: int
    last_seq: int
    next: int | None


class InboxPage(Model):
    """Notifications, newest first. ``unread`` is by topic, ``next`` the ``after`` of the next page, if there is one.

    ``expired`` is by topic, too: how many were removed before the caller acknowledged them, where there are any.
    ``inbox_full``: nobody can send to the caller until the caller has acknowledged some of what was sent.
    """

    items: tuple[InboxNotification, ...]
    next: str | None
    unread: dict[str, int]
    expired: dict[str, int] = {}
    inbox_full: bool = False


class FoundPage(Model):
    """What a search found, newest first. ``next`` continues it, also where this page is short or empty."""

    items: tuple[InboxNotification, ...]
    next: str | None


class LatestMessage(Model):
    """The newest message of a thread. ``text``: the beginning of its body. ``sent``: it is the caller's own."""

    topic: str
    seq: int
    title: str
    text: str
    sent: bool
    published_at: datetime


class Thread(Model):
    """A person whom the caller exchanged direct messages with. ``unread``: what the caller has not acknowledged."""

    user: str
    name: str | None
    unread: int
    latest: LatestMessage


class ThreadsPage(Model):
    """Threads, the one with the newest message first. ``next`` is the ``after`` of the following page."""

    items: tuple[Thread, ...]
    next: str | None


class DirectMessage(Notification):
    """A direct message. ``acked`` is ``None`` in what the caller sent to another."""

    sent: bool
    acked: bool | None


class ThreadPage(Model):
    """Messages of both sides, the newest last. ``next`` is the ``after`` of the page that is older."""

    name: str | None
    items: tuple[DirectMessage, ...]
    next: str | None


class Retention(Model):
    """Maximum age (in seconds) and number of notifications; the bound that is reached first applies."""

    max_age_seconds: int = 30 * 24 * 3600
    max_count: int = 100_000


class EmailPolicy(Model):
    """The email mode of new subscriptions, and the delays of ``unread`` and ``digest`` in seconds."""

    default: EmailMode = "never"
    unread_after_seconds: int = 900
    digest_every_seconds: int = 24 * 3600


class Topic(Model):
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


class TopicNames(Model):
    """The names that users in a topic's lists gave, by id."""

    names: dict[str, str] = {}


class TopicsPage(Model):
    """Topics by name. ``next`` is the ``after`` of the following page, if there is one."""

    items: tuple[Topic, ...]
    next: str | None


class Subscription(Model):
    """The caller's lasting subscription to a topic.

    ``expired``: how many were removed before the caller acknowledged them, until the caller acknowledges past them.
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

    items: tuple[Subscription, ...]


class Joined(Model):
    """Position of the topic and of the caller at a join; ``expired`` were removed before being acknowledged.

    ``restored_after``: the last seq of the backup, of a deployment that was ``restored`` from one.
    """

    last_seq: int
    first_seq: int
    acked_up_to: int = 0
    unread: int = 0
    expired: int = 0
    truncated: bool = False
    missing: int = 0
    restored: bool = False
    restored_after: int = 0


class Missing(Model):
    """How many notifications up to a seq were removed before they could be delivered."""

    missing: int
    up_to: int


class TokenResponse(Model):
    """The answer of the token endpoint (RFC 6749, section 5.1); ``expires_in`` is in seconds.

    ``device_token`` makes the next login one from a known device, which the guesses of others cannot hold up.
    """

    access_token: str
    expires_in: int
    refresh_token: str | None = None
    device_token: str | None = None


class Readiness(Model):
    """Whether a gateway accepts requests; ``failed`` has the reason of each failed check."""

    status: Literal["ok", "not ready"]
    failed: dict[str, str]


class EmailState(Model):
    """Whether email reaches the caller: ``on``, ``paused`` or ``stopped``, since the mail server refused the address.

    ``reason`` is the mail server's answer; ``held`` counts the emails that were not sent for it, or that wait for the
    address to be verified.
    """

    state: str
    reason: str
    since: datetime | None
    next_try_at: datetime | None
    held: int


class EmailChange(Model):
    """The new address that awaits its confirmation, and when its link ends; ``None`` if there is none."""

    email: str | None = None
    expires_at: datetime | None = None


class EmailResumed(Model):
    """``resumed`` held emails are due again; ``dropped`` ones were too many and stay unsent."""

    resumed: int
    dropped: int


class Status(Model):
    """A deployment and the caller. ``user`` is ``None`` if nobody is logged in.

    ``email`` is ``None`` then too, and if the credentials do not show it.
    """

    url: str
    config: Config
    readiness: Readiness
    user: User | None
    email: EmailState | None
    subscriptions: tuple[Subscription, ...]
