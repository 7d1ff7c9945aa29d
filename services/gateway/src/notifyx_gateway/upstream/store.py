"""The gateway's client of the store: the hot path in batches, the rest one call at a time.

Everything is checked here before it is queued: a batch must never fail for what one of its callers sent.
"""

from __future__ import annotations

import asyncio
import uuid
import zlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ValidationError

from notifyx_common.background import Background
from notifyx_common.client import ServiceClient
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.acks import AckItem, AckResult, UnreadItem, UnreadResult
from notifyx_common.contracts.store.joins import JoinItem, JoinResult
from notifyx_common.contracts.store.log import MAX_DATA_BYTES, History, NewNotification, PublishItem, PublishResult
from notifyx_common.contracts.store.subscriptions import Subscription, Subscriptions, SubscriptionSettings
from notifyx_common.contracts.store.topics import NewTopic, Topic
from notifyx_common.errors import InvalidRequest, TooLarge
from notifyx_common.metrics import Metrics, total
from notifyx_common.principal import Principal
from notifyx_common.reading import invalid_fields
from notifyx_gateway.upstream.batching import Entry, Lane, encode_batch

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R")

DEADLINE = 8.0
"""Seconds a batched request may take in all, waiting and retries included (a Phoenix client gives up after 10)."""

TRY_TIMEOUT = 2.5
"""Seconds one node gets before the next is asked; safe, because batches can be repeated."""


class Store:
    """What the store does, for the socket and for REST.

    Every method raises the :class:`~notifyx_common.errors.NotifyxError` that applies to its caller.
    """

    def __init__(
        self,
        client: ServiceClient,
        *,
        clock: Clock,
        metrics: Metrics,
        background: Background,
        deadline: float = DEADLINE,
    ) -> None:
        self.client = client

        def lanes(kind: str, count: int, send: Any, parse: Callable[[Any], R]) -> list[Lane[R]]:
            made = [
                Lane(f"{kind} {n}", send, parse, clock=clock, background=background, deadline=deadline)
                for n in range(count)
            ]
            metrics.watch_pool(kind, lambda: total(lane.usage() for lane in made))
            return made

        self._publishes = lanes("publish", 4, self._send_publishes, PublishResult.model_validate)
        self._acks = lanes("acks", 2, self._sender("/internal/v1/acks"), AckResult.model_validate)
        self._joins = lanes("joins", 2, self._sender("/internal/v1/joins"), JoinResult.model_validate)
        self._unread = lanes("unread", 1, self._sender("/internal/v1/unread"), UnreadResult.model_validate)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lanes: list[Lane[Any]] = [*self._publishes, *self._acks, *self._joins, *self._unread]
        await asyncio.gather(*(lane.close() for lane in lanes))

    def publish_soon(
        self, principal: Principal, topic: str, notification: NewNotification, key: str | None = None
    ) -> asyncio.Future[PublishResult]:
        """Queue a publish; one publisher's publishes to one topic are committed in the order of these calls.

        Raises :class:`InvalidRequest`, :class:`TooLarge` or :class:`TooManyRequests` at once.
        """
        given = notification.model_dump(mode="json", exclude_defaults=True)
        if not (given.get("title") or given.get("body") or given.get("data")):
            raise InvalidRequest("A notification needs a title, a body or data.", code="empty_notification")
        if notification.data is not None and len(orjson.dumps(notification.data)) > MAX_DATA_BYTES:
            raise TooLarge(f"The notification's data is larger than {MAX_DATA_BYTES} bytes.", code="data_too_large")
        item = _checked(PublishItem, {**given, "p": 0, "topic": topic, "key": key})
        data = orjson.dumps({"topic": item.topic, "key": item.key, **given})
        return _lane(self._publishes, topic).submit(data, principal)

    async def publish(
        self, principal: Principal, topic: str, notification: NewNotification, key: str | None = None
    ) -> PublishResult:
        """Publish; returns once it is committed."""
        return await self.publish_soon(principal, topic, notification, key)

    def ack_soon(
        self, principal: Principal, topic: str, up_to: int | None = None, seqs: list[int] | None = None
    ) -> asyncio.Future[AckResult]:
        """Queue an acknowledgement of everything up to ``up_to``, or of exactly ``seqs``."""
        if (up_to is None) == (seqs is None):
            raise InvalidRequest("Give either up_to or seqs.", code="validation_failed")
        item = _checked(AckItem, {"p": 0, "topic": topic, "up_to": up_to, "seqs": seqs})
        data = orjson.dumps(item.model_dump(exclude={"p"}, exclude_none=True))
        return _lane(self._acks, principal.id).submit(data, principal)

    async def ack(
        self, principal: Principal, topic: str, up_to: int | None = None, seqs: list[int] | None = None
    ) -> AckResult:
        """Acknowledge; returns the user's cursor and what is still unread."""
        return await self.ack_soon(principal, topic, up_to, seqs)

    async def join(self, principal: Principal, topic: str, since: int | None = None) -> JoinResult:
        """Check read permission and say where the topic and the user stand."""
        item = _checked(JoinItem, {"p": 0, "topic": topic, "since": since})
        data = orjson.dumps(item.model_dump(exclude={"p"}, exclude_none=True))
        return await _lane(self._joins, principal.id).submit(data, principal)

    async def unread(self, user: str, topic: str) -> UnreadResult:
        """The unread count of a (user, topic) pair."""
        item = _checked(UnreadItem, {"user": user, "topic": topic})
        return await _lane(self._unread, user).submit(orjson.dumps(item.model_dump()), None)

    async def history(
        self,
        principal: Principal,
        topic: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
        deadline: float | None = None,
    ) -> History:
        """A page of the log, ascending by seq."""
        bounds = {"after": after, "before": before, "limit": limit}
        raw = await self.client.call(
            "GET",
            f"{_topic_path(topic)}/notifications",
            params={name: str(value) for name, value in bounds.items() if value is not None},
            principal=principal,
            deadline=deadline,
            try_timeout=TRY_TIMEOUT,
        )
        return History.model_validate(raw)

    async def create_topic(self, principal: Principal, topic: NewTopic) -> Topic:
        """Create a topic; the caller becomes its creator."""
        body = topic.model_dump(mode="json")
        raw = await self.client.call("POST", "/internal/v1/topics", body=body, principal=principal)
        return Topic.model_validate(raw)

    async def subscribe(self, principal: Principal, topic: str, settings: SubscriptionSettings) -> Subscription:
        """Subscribe the caller, or change their settings."""
        raw = await self.client.call(
            "PUT",
            f"{_topic_path(topic)}/subscription",
            body=settings.model_dump(mode="json", exclude_none=True),
            principal=principal,
        )
        return Subscription.model_validate(raw)

    async def unsubscribe(self, principal: Principal, topic: str) -> None:
        """End the caller's subscription."""
        await self.client.call("DELETE", f"{_topic_path(topic)}/subscription", principal=principal)

    async def subscriptions(self, principal: Principal) -> list[Subscription]:
        """All of the caller's subscriptions, the inbox included."""
        raw = await self.client.call("GET", "/internal/v1/subscriptions", principal=principal)
        return Subscriptions.model_validate(raw).items

    async def _send_publishes(self, entries: Sequence[Entry[PublishResult]], left: float) -> list[Any]:
        head = b'"batch_id":"' + uuid.uuid4().hex.encode() + b'",'
        return await self._send("/internal/v1/publish", encode_batch(entries, head), left)

    def _sender(self, path: str) -> Callable[[Sequence[Entry[Any]], float], Any]:
        async def send(entries: Sequence[Entry[Any]], left: float) -> list[Any]:
            return await self._send(path, encode_batch(entries), left)

        return send

    async def _send(self, path: str, body: bytes, left: float) -> list[Any]:
        answer = await self.client.call(
            "POST", path, body=body, idempotent=True, deadline=left, try_timeout=min(TRY_TIMEOUT, left)
        )
        results: list[Any] = answer["results"]
        return results


def _topic_path(topic: str) -> str:
    return f"/internal/v1/topics/{quote(topic, safe='')}"


def _checked(kind: type[M], data: dict[str, Any]) -> M:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise invalid_fields(error) from None


def _lane(lanes: Sequence[Lane[R]], key: str) -> Lane[R]:
    return lanes[zlib.crc32(key.encode("utf-8", "surrogatepass")) % len(lanes)]
