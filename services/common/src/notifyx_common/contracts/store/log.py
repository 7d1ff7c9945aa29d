"""A topic's log: publishing to it in batches, and reading it page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from notifyx_common.contracts.call import MAX_ITEM_BYTES, MAX_PAGE_BYTES, V1, Call, Model, Number, Raw, RequestModel
from notifyx_common.contracts.store.batches import BatchResults, accepts_something
from notifyx_common.contracts.store.names import Body, IdempotencyKey, Priority, QuerySeq
from notifyx_common.errors import InvalidRequest
from notifyx_common.principal import Principal
from notifyx_common.reading import Time, parse_model
from notifyx_topics.names import AnyTopicName
from notifyx_topics.settings import Title
from notifyx_topics.visible import is_visible

MAX_DATA_BYTES = 131_072
"""Size that a notification's ``data`` in JSON never exceeds, in bytes; the gateway's own limit may be lower."""


class NewNotification(RequestModel):
    """A notification to publish. It has data, or a title or body that can be seen."""

    title: Title = ""
    body: Body = ""
    data: dict[str, Any] | None = None
    priority: Priority = "normal"
    expires_at: Time | None = None


class KeyedNotification(NewNotification):
    """A notification, optionally with an idempotency key, which makes it safe to publish it again."""

    key: IdempotencyKey | None = None

    @classmethod
    def of(cls, notification: NewNotification, key: str | None) -> KeyedNotification:
        """Give ``notification`` a key. Both have been validated."""
        return cls.model_construct(notification.model_fields_set | {"key"}, **dict(notification), key=key)


def require_content(notification: NewNotification) -> None:
    """Raise :class:`InvalidRequest` for a notification of which nothing would be seen."""
    if not (notification.data or is_visible(notification.body) or is_visible(notification.title)):
        raise InvalidRequest(
            "A notification needs a title or a body that can be seen, or data.", code="empty_notification"
        )


_KEYED: TypeAdapter[KeyedNotification] = TypeAdapter(KeyedNotification)
_FIELDS = frozenset(KeyedNotification.model_fields)


def read_notification(value: Any) -> tuple[KeyedNotification, bytes]:
    """Return decoded JSON as a notification, and its JSON. Raises :class:`InvalidRequest`."""
    if (plain := plain_notification(value)) is not None:
        return plain
    notification = parse_model(KeyedNotification, value)
    return notification, encode_notification(notification)


def plain_notification(value: Any) -> tuple[KeyedNotification, bytes] | None:
    """Return decoded JSON as a notification, and its JSON, if it is valid as it is: most are.

    What is wrong, or has a time, is read by :func:`parse_model`, whose rules are the same, with more steps.
    """
    if isinstance(value, dict) and len(value) <= len(_FIELDS) and "expires_at" not in value:
        try:
            return KeyedNotification.model_validate(value, strict=True), orjson.dumps(value)
        except (ValidationError, orjson.JSONEncodeError):
            pass
    return None


def encode_notification(notification: KeyedNotification) -> bytes:
    """Return the JSON of a notification: only the fields of this type, since a request may have more."""
    return _KEYED.dump_json(notification, exclude_defaults=True)


class PublishItem(KeyedNotification):
    """One publish of a batch: ``p`` is the position of its principal."""

    p: int = Field(ge=0)
    topic: AnyTopicName


class PublishBatch(RequestModel):
    """Publishes that a gateway collected, in their order (``seq`` follows it per publisher and topic)."""

    batch_id: str = Field(pattern="^[0-9a-f]{32}$")
    principals: list[Principal]
    items: list[PublishItem] = Field(min_length=1, max_length=1000)


class PublishResult(Model):
    """An accepted publish. ``duplicate``: its idempotency key was used before; this is the answer of the first use."""

    id: str
    topic: str
    seq: int
    published_at: str
    duplicate: bool = False


class Notification(Model):
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


class HistoryPage(Model):
    """A page of a topic's log, ascending by seq. ``next`` is the ``after`` of the following page, if any.

    It is shorter than requested where its notifications are large.
    """

    items: list[dict[str, Any]]
    first_seq: int
    last_seq: int
    next: int | None


@dataclass(frozen=True)
class HistoryQuery:
    """A page of the log after ``after``; without it the newest, or the newest before ``before``."""

    name: AnyTopicName
    after: QuerySeq | None = None
    before: QuerySeq | None = None
    limit: Annotated[Number, Field(ge=1, le=1000)] = 100


PUBLISH = Call(
    "POST",
    f"{V1}/publish",
    Raw[PublishBatch],
    Raw[BatchResults[PublishResult]],
    idempotent=True,
    hedged=True,
    settles=accepts_something,
)
"""May be repeated: a second request of the same ``batch_id`` is answered from the record of the first.

There is a record once something was accepted, and of each repeated request.
"""

HISTORY = Call(
    "GET",
    f"{V1}/topics/{{name}}/notifications",
    HistoryQuery,
    Raw[HistoryPage],
    caller="principal",
    large=MAX_PAGE_BYTES + MAX_ITEM_BYTES,
)
