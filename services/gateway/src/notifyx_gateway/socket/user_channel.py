"""``user:me`` (or ``user:<own id>``): the inbox, unread counts, direct messages, and the connection's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic import Field

from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.errors import Forbidden, NotFound
from notifyx_common.reading import parse_model
from notifyx_gateway.socket.channels import StoreChannel, StrictPush, TopicChannel, published_reply
from notifyx_gateway.socket.frames import Message
from notifyx_gateway.socket.peer import Peer
from notifyx_gateway.socket.protocol import Channel, Handler
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

    def __init__(self, peer: Peer, channel: Channel, store_topic: str) -> None:
        super().__init__(peer, channel, store_topic)
        self._sending = asyncio.Lock()

    def live(self) -> None:
        super().live()
        self.peer.realm.board.open(self)

    def ended(self) -> None:
        if self._attached:
            self.peer.realm.board.close(self)
        super().ended()

    def unread(self, topic: str, count: int) -> None:
        """A subscription's unread count changed."""
        self.push("unread", {"topic": topic, "unread": count})

    def events(self) -> dict[str, Callable[[Message], None]]:
        return {
            **super().events(),
            "create_topic": self._create_topic,
            "send": self._send_direct,
            "access_token": self._access_token,
        }

    def _create_topic(self, message: Message) -> None:
        topic = parse_model(NewTopic, message.payload)
        work = self.peer.realm.store.create_topic(self.principal, topic)
        self.peer.work(self.channel, message, work, lambda created: created.model_dump(mode="json"))

    def _send_direct(self, message: Message) -> None:
        push = parse_model(SendPush, message.payload)
        self.peer.work(self.channel, message, self._resolve_and_send(push))

    async def _resolve_and_send(self, push: SendPush) -> dict[str, Any]:
        async with self._sending:  # first come, first served: messages keep their order
            user = await self.peer.realm.resolve_user(push.to)
            if user is None:
                raise NotFound("There is no such user.", code="user_not_found")
            future = self.peer.realm.store.publish_soon(self.principal, inbox_topic(user.id), push)
        result = await future
        self.peer.realm.metrics.counter("notifyx_publishes_total").labels("socket", "ok").inc()
        return published_reply(result)

    def _access_token(self, message: Message) -> None:
        push = parse_model(TokenPush, message.payload)
        self.peer.renew(push.token)
        self.peer.acknowledge(self.channel, message)


def make_handler(peer: Peer, channel: Channel) -> Handler:
    """The handler for a channel's topic. Raises :class:`NotFound` or :class:`Forbidden`."""
    kind, _, name = channel.topic.partition(":")
    if kind == "topic" and name:
        return TopicChannel(peer, channel, name)
    if kind == "user" and name:
        own = peer.principal.id
        if name not in ("me", own):
            raise Forbidden("This user channel is another user's.", code="other_user")
        return UserChannel(peer, channel, inbox_topic(own))
    raise NotFound("unmatched topic", code="unmatched_topic")
