"""``user:me`` (or ``user:<own id>``): the inbox, unread counts, direct messages, and the connection's token."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from pydantic import Field

from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.errors import Forbidden, NotFound
from notifyx_common.reading import parse_model
from notifyx_gateway.addressee import find_addressee
from notifyx_gateway.socket.channels import Handlers, StoreChannel, StrictPush, TopicChannel, publish_reply
from notifyx_gateway.socket.client import ConnectedClient, JoiningHandler
from notifyx_gateway.socket.frames import Message
from notifyx_gateway.socket.protocol import Channel
from notifyx_gateway.socket.unread import Counts
from notifyx_topics.names import inbox_topic


class SendPush(KeyedNotification):
    """A direct message: ``to`` is a user's id or email."""

    to: str = Field(min_length=1, max_length=320)


class TokenPush(StrictPush):
    """A newer access token of the same user."""

    token: str = Field(min_length=1, max_length=8192, repr=False)


class UserChannel(StoreChannel):
    """The user's own channel."""

    __slots__ = ("_sending",)

    kind = "user"

    def __init__(self, client: ConnectedClient, channel: Channel, store_topic: str) -> None:
        super().__init__(client, channel, store_topic)
        self._sending = asyncio.Lock()

    def on_live(self) -> None:
        super().on_live()
        self.client.context.unread_pusher.open(self)

    def on_ended(self) -> None:
        if self._attached:
            self.client.context.unread_pusher.close(self)
        super().on_ended()

    def credential_changed(self) -> None:
        if self._attached:
            self.client.context.unread_pusher.close(self)
            self.client.context.unread_pusher.open(self)
        super().credential_changed()

    def unread(self, topic: str, counts: Counts) -> None:
        """Push the counts of a subscription."""
        self.push("unread", {"topic": topic, "unread": counts.unread, "expired": counts.expired})

    def sent(self, to: str | None) -> None:
        if self.principal.topics is None:  # threads are closed to keys of some topics
            self.push("sent", {"to": to})

    def account_changed(self) -> None:
        if self.principal.topics is None:  # a key of some topics does not learn when its owner was active
            self.push("account_changed", {})

    def _create_topic(self, message: Message) -> None:
        topic = parse_model(NewTopic, message.payload)
        self.client.run(self.channel, message, self._create_and_record(topic))

    async def _create_and_record(self, topic: NewTopic) -> dict[str, Any]:
        await self.client.context.limits.create_topic(self.principal)
        await self.client.context.check_grants(topic)
        created = await self.client.context.store.create_topic(self.principal, topic)
        self.client.context.security.record(
            "topic_created",
            "succeeded",
            actor=self.principal.id,
            credential=self.principal.key_id or "",
            subject=created.name,
            reason=created.visibility,
        )
        return created.model_dump(mode="json")

    def _send_direct(self, message: Message) -> None:
        self.client.context.store.sizes.require_body(message.payload)
        push = parse_model(SendPush, message.payload)
        self.client.run(self.channel, message, self._resolve_and_send(push))

    async def _resolve_and_send(self, push: SendPush) -> dict[str, Any]:
        # One at a time: messages keep their order. Of all connections of an account, few at a time.
        async with self._sending, self.client.context.store.turn(self.principal):
            limits = self.client.context.limits
            user = await find_addressee(
                self.principal, push.to, limits=limits, resolve=self.client.context.resolve_user
            )
            await limits.direct_message(self.principal, user.id)
            future = self.client.context.store.enqueue_publish(self.principal, inbox_topic(user.id), push)
        result = await future
        self.client.context.published.inc()
        return publish_reply(result)

    def _access_token(self, message: Message) -> None:
        push = parse_model(TokenPush, message.payload)
        self.client.replace_token(push.token)
        self.client.acknowledge(self.channel, message)

    handlers: ClassVar[Handlers] = {
        **StoreChannel.handlers,
        "create_topic": _create_topic,
        "send": _send_direct,
        "access_token": _access_token,
    }


def make_handler(client: ConnectedClient, channel: Channel) -> JoiningHandler:
    """Return the handler for a channel's topic. Raises :class:`NotFound` or :class:`Forbidden`."""
    kind, _, name = channel.topic.partition(":")
    if kind == "topic" and name:
        return TopicChannel(client, channel, name)
    if kind == "user" and name:
        own = client.principal.id
        if name not in ("me", own):
            raise Forbidden("This user channel is another user's.", code="other_user")
        return UserChannel(client, channel, inbox_topic(own))
    raise NotFound("unmatched topic", code="unmatched_topic")
