"""The channels of topics, ``topic:<name>``, and their common base with the user channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from notifyx_common.contracts.call import Model
from notifyx_common.contracts.store.acks import AckResult, Unack
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.contracts.store.log import HistoryPage, PublishResult, read_notification
from notifyx_common.contracts.store.names import Seq
from notifyx_common.contracts.store.subscriptions import Subscription, SubscriptionSettings
from notifyx_common.errors import InvalidRequest, NotifyxError
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.reading import parse_model
from notifyx_gateway.delivery.sinks import Format
from notifyx_gateway.socket.client import ConnectedClient
from notifyx_gateway.socket.frames import Message, encode
from notifyx_gateway.socket.own_acks import OwnAcks
from notifyx_gateway.socket.protocol import Channel
from notifyx_gateway.socket.unread import Counts

Handlers = dict[str, Callable[[Any, Message], None]]
"""Methods of a channel by the event that they handle."""


class StrictPush(Model):
    """A payload without additional fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JoinParams(Model):
    """``since``: the last seq that the client has seen. Other params are ignored."""

    since: Seq | None = None


class AckPush(StrictPush):
    """Exactly one of ``up_to`` and ``seqs`` must be given."""

    up_to: Seq | None = None
    seqs: list[Seq] | None = Field(default=None, min_length=1, max_length=1000)
    revision: Seq | None = None


class HistoryPush(StrictPush):
    """The newest ``limit`` before ``before``, or the oldest after ``after``."""

    before: Seq | None = None
    after: Seq | None = None
    limit: int = Field(default=50, ge=1, le=200)


class StoreChannel:
    """A channel of one topic at the store: joins it, delivers its rows, acknowledges. A sink of the hub."""

    __slots__ = (
        "_attached",
        "_other_credential",
        "_own_acks",
        "_requested_at",
        "_result",
        "_since",
        "channel",
        "client",
        "format",
        "send",
        "store_topic",
    )

    kind = "topic"

    def __init__(self, client: ConnectedClient, channel: Channel, store_topic: str) -> None:
        self.client = client
        self.channel = channel
        self.store_topic = store_topic
        self.format: Format = client.transport.format(channel.topic)
        self.send = client.transport.deliver
        self._since: int | None = None
        self._requested_at = 0.0
        self._other_credential = False
        """Whether the credential became another one while the store was asked."""
        self._result: JoinResult | None = None
        self._attached = False
        self._own_acks: OwnAcks | None = None

    # ChannelHandler

    def join(self, params: dict[str, Any]) -> asyncio.Future[JoinResult]:
        """Begin to check the permission at the store."""
        if params:
            self._since = parse_model(JoinParams, params).since
        self._requested_at = self._now()
        return self.client.context.store.enqueue_join(self.principal, self.store_topic, self._since)

    def accepted(self, result: JoinResult) -> dict[str, Any]:
        """Return the position of the topic and the user."""
        self._result = result
        return {
            "last_seq": result.last_seq,
            "acked_up_to": result.acked_up_to,
            "unread": result.unread,
            "truncated": result.truncated,
            "first_seq": result.first_seq,
            "missing": result.missing,
            "restored": result.restored,
            "restored_after": result.restored_after,
            "expired": result.expired,
            "subscribed": result.subscribed,
            "revision": result.revision,
            "version": result.version,
        }

    def on_live(self) -> None:
        """Start the delivery; the reply to the join has been sent."""
        assert self._result is not None, "a channel goes live after its join"
        self._attached = True
        self.client.context.channels[self.kind].inc()
        hub = self.client.context.hub
        self._reported(Counts.of(self._result))
        hub.attach(self, self._result, self._since, self._requested_at)
        self._result = None
        if self._other_credential:
            hub.check([self])

    def on_ended(self) -> None:
        """Detach from the hub."""
        if self._attached:
            self._attached = False
            self.client.context.channels[self.kind].dec()
            self.client.context.hub.detach(self)

    def credential_changed(self) -> None:
        """End the channel if the new credential does not cover it; the client joins again and is told why.

        The store decides whether its user may read, who may have another address by now.
        """
        if "read" not in self.principal.scopes or not self.principal.covers_topic(self.store_topic):
            self.client.end(self.channel, "phx_error")
        elif self._attached:
            self.client.context.hub.check([self])
        else:
            self._other_credential = True

    def handle(self, message: Message) -> None:
        """Handle a message from the client. Raises :class:`NotifyxError` if it is rejected at once."""
        handler = self.handlers.get(message.event)
        if handler is None:
            known = ", ".join(sorted(self.handlers))
            raise InvalidRequest(f"Unknown event; this channel takes {known}.", code="unknown_event")
        handler(self, message)

    # Sink

    @property
    def principal(self) -> Principal:
        return self.client.principal

    @property
    def closed(self) -> bool:
        return not self._attached or self.client.transport.closed

    def waiting_bytes(self) -> int:
        return self.client.transport.waiting_bytes()

    def writable_bytes(self) -> int:
        return self.client.transport.writable_bytes()

    async def wait_drained(self) -> None:
        await self.client.transport.wait_drained()

    def acked(self, event: dict[str, Any]) -> None:
        if self._own_acks is not None and self._own_acks.is_own(event, self._now()):
            return
        self._push_acked(event)

    def missed(self, count: int, up_to: int) -> None:
        self.push("missing", {"missing": count, "up_to": up_to})

    def sent(self, to: str | None) -> None:
        """Only the user's own channel has threads."""

    def account_changed(self) -> None:
        """Only the user's own channel reports it."""

    def changed(self, version: str) -> None:
        self.push("topic_changed", {"topic": self.store_topic, "version": version})

    def deleted(self) -> None:
        self.push("topic_deleted", {"topic": self.store_topic})
        self.client.end(self.channel, "phx_close")

    def failed(self, error: NotifyxError) -> None:
        # The client joins again by itself; the reply to that join has the reason.
        self.client.end(self.channel, "phx_error")

    # Requests

    def push(self, event: str, payload: Any) -> None:
        """Push to this channel only."""
        self.client.push(self.channel, encode(self.channel.join_ref, None, self.channel.topic, event, payload))

    def _ack(self, message: Message) -> None:
        push = parse_model(AckPush, message.payload)
        own_acks = self._own_acks = self._own_acks or OwnAcks()
        future = self.client.context.store.enqueue_ack(
            self.principal, self.store_topic, push.up_to, push.seqs, push.revision
        )
        own_acks.begin()
        seqs = frozenset(push.seqs or ())

        def done(future: asyncio.Future[AckResult]) -> None:
            if future.cancelled() or future.exception() is not None:
                others = own_acks.fail(self._now())
            else:
                result = future.result()
                others = own_acks.finish(result, seqs, self._now())
            for event in others:
                self._push_acked(event)

        self.client.reply_when_done(self.channel, message, future, self._ack_reply)
        future.add_done_callback(done)

    def _unack(self, message: Message) -> None:
        # Its event on the feed reaches this channel as well: the position in it replaces the one that is known.
        wanted = parse_model(Unack, message.payload)
        work = self.client.context.store.unack(self.principal, self.store_topic, wanted)
        self.client.run(self.channel, message, work, self._ack_reply)

    def _history(self, message: Message) -> None:
        push = parse_model(HistoryPush, message.payload)
        self.client.run(self.channel, message, self._read_history(push), _history_reply)

    async def _read_history(self, push: HistoryPush) -> HistoryPage:
        # A page may have megabytes: a connection reads one at a time, and an account and a node few.
        context = self.client.context
        async with self.client.reading_history, context.store.page_turn(self.principal), context.reading_history:
            return await context.store.history(
                self.principal, self.store_topic, after=push.after, before=push.before, limit=push.limit
            )

    def _push_acked(self, event: dict[str, Any]) -> None:
        # Stores of the previous release take no acknowledgements back.
        position = {"up_to": event["up_to"], "seqs": event["seqs"], "unread": event["unread"]}
        others = {"expired": event.get("expired", 0), "revision": event.get("revision", 0)}
        self.push("acked", {**position, **others})
        self._reported(Counts(event["unread"], event.get("expired", 0)))

    def _ack_reply(self, result: AckResult) -> dict[str, Any]:
        self._reported(Counts.of(result))
        return result.model_dump(exclude={"topic"})

    def _reported(self, counts: Counts) -> None:
        self.client.context.unread_pusher.reported(self.principal.id, self.store_topic, counts)

    def _now(self) -> float:
        return self.client.context.clock.monotonic()

    handlers: ClassVar[Handlers] = {"ack": _ack, "unack": _unack, "history": _history}
    """The handlers of the client's messages, by event."""


class TopicChannel(StoreChannel):
    """``topic:<name>``."""

    __slots__ = ()

    def _publish(self, message: Message) -> None:
        client = self.client
        client.context.store.sizes.require_body(message.payload)
        notification, content = read_notification(message.payload)
        if wait := client.context.limits.publish_wait(client.principal):
            client.transport.pause_for(wait)
        waiter = _PublishReply(client, self.channel, message)
        try:
            client.context.store.add_publish(client.principal, self.store_topic, notification, waiter, content)
        except NotifyxError as error:
            count_rejected(client.context.metrics, error)
            raise
        client.begin(message)

    def _subscribe(self, message: Message) -> None:
        settings = parse_model(SubscriptionSettings, message.payload)
        work = self.client.context.store.subscribe(self.principal, self.store_topic, settings)
        self.client.run(self.channel, message, work, _subscription_reply)

    def _unsubscribe(self, message: Message) -> None:
        work = self.client.context.store.unsubscribe(self.principal, self.store_topic)
        self.client.run(self.channel, message, work, lambda _: {})

    handlers: ClassVar[Handlers] = {
        **StoreChannel.handlers,
        "publish": _publish,
        "subscribe": _subscribe,
        "unsubscribe": _unsubscribe,
    }


class _PublishReply:
    """Replies to a publish: the waiter of its item. One object, where a future has several, with callbacks."""

    __slots__ = ("_channel", "_client", "_done", "_message")

    def __init__(self, client: ConnectedClient, channel: Channel, message: Message) -> None:
        self._client = client
        self._channel = channel
        self._message = message
        self._done = False

    def done(self) -> bool:
        """Return whether the publish has been answered; it is committed also if its connection has closed."""
        return self._done

    def set_result(self, result: PublishResult) -> None:
        self._done = True
        self._client.context.published.inc()
        self._client.finish(self._channel, self._message, publish_reply(result))

    def set_exception(self, error: BaseException) -> None:
        self._done = True
        count_rejected(self._client.context.metrics, error)
        self._client.fail(self._channel, self._message, error)


def count_rejected(metrics: Metrics, error: BaseException) -> None:
    """Count a publish that was not accepted."""
    code = error.code if isinstance(error, NotifyxError) else "internal"
    metrics.counter("notifyx_publishes_total").labels("socket", code).inc()


def publish_reply(result: PublishResult) -> dict[str, Any]:
    """Return the reply to a publish."""
    return {"id": result.id, "seq": result.seq, "published_at": result.published_at, "duplicate": result.duplicate}


def _history_reply(page: HistoryPage) -> dict[str, Any]:
    return page.model_dump(mode="json")


def _subscription_reply(subscription: Subscription) -> dict[str, Any]:
    return subscription.model_dump(mode="json")
