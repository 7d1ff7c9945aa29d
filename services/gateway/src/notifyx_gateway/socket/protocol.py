"""The Phoenix Channels state machine of one connection, without I/O.

:class:`ChannelSet` is given messages and outcomes, and returns effects for the shell to carry out, in order:
send these bytes, open this channel, close that one, hand this message to its channel. It never waits and never
raises for anything a client can send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from notifyx_gateway.socket.frames import Message, encode, reply

MAX_QUEUED = 32
"""Messages held for a channel whose join is not answered yet."""


class ChannelHandler(Protocol):
    """A joined (or joining) channel of a certain kind."""

    async def join(self, params: dict[str, Any]) -> dict[str, Any]:
        """The reply to the join. Raises :class:`NotifyxError`."""
        ...

    def on_live(self) -> None:
        """The reply has been sent: deliver."""
        ...

    def handle(self, message: Message) -> None:
        """Take a message; raises :class:`NotifyxError` for what is refused at once."""
        ...

    def on_ended(self) -> None:
        """The channel is over; called once."""
        ...


class Channel:
    """One channel of a session. ``queued`` holds its messages until the join is answered, then is ``None``."""

    __slots__ = ("handler", "join", "queued", "topic")

    def __init__(self, join: Message) -> None:
        self.join = join
        self.topic = join.topic
        self.queued: list[Message] | None = []
        self.handler: ChannelHandler | None = None
        """Made by the shell when it opens the channel."""

    @property
    def joined(self) -> ChannelHandler:
        """The handler of a channel whose join was accepted."""
        assert self.handler is not None, "a join is accepted by the channel's handler"
        return self.handler

    @property
    def join_ref(self) -> str | None:
        """The ref that names this join of the topic."""
        return self.join.join_ref


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message (a JSON text)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckJoin:
    """Find out whether ``channel`` may be joined with ``params``; then call ``accept`` or ``reject``."""

    channel: Channel
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """The channel has ended at the session; stop what it did."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class StartDelivery:
    """The join reply has been sent: deliver from here on."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class HandleMessage:
    """Hand ``message`` to its joined channel."""

    channel: Channel
    message: Message


Effect = Send | CheckJoin | Close | StartDelivery | HandleMessage


class ChannelSet:
    """The channels of one connection."""

    __slots__ = ("_max_channels", "channels")

    def __init__(self, max_channels: int = 100) -> None:
        self.channels: dict[str, Channel] = {}
        self._max_channels = max_channels

    def receive(self, message: Message) -> Sequence[Effect]:
        """What a message from the client leads to."""
        if message.topic == "phoenix":
            return self._phoenix(message)
        if message.event == "phx_join":
            return self._join(message)
        channel = self.channels.get(message.topic)
        if message.event == "phx_leave":
            return self._leave(message, channel)
        return self._push(message, channel)

    def accept(self, channel: Channel, response: Any) -> Sequence[Effect]:
        """The join of ``channel`` succeeded. Nothing when it has been left or replaced meanwhile."""
        if self.channels.get(channel.topic) is not channel or channel.queued is None:
            return ()
        queued, channel.queued = channel.queued, None
        sent = Send(reply(channel.join, "ok", response, channel.join_ref))
        return (sent, StartDelivery(channel), *(HandleMessage(channel, message) for message in queued))

    def reject(self, channel: Channel, response: Any) -> Sequence[Effect]:
        """The join of ``channel`` was refused."""
        if self.channels.get(channel.topic) is not channel:
            return ()
        del self.channels[channel.topic]
        return (Close(channel), Send(reply(channel.join, "error", response, channel.join_ref)))

    def end(self, channel: Channel, event: str) -> Sequence[Effect]:
        """The server ends a channel: ``phx_close`` for good, ``phx_error`` so that the client joins again."""
        if self.channels.get(channel.topic) is not channel:
            return ()
        del self.channels[channel.topic]
        return (Close(channel), Send(encode(channel.join_ref, channel.join_ref, channel.topic, event, {})))

    def clear(self) -> Sequence[Effect]:
        """The connection is gone."""
        channels, self.channels = self.channels, {}
        return tuple(Close(channel) for channel in channels.values())

    def _phoenix(self, message: Message) -> Sequence[Effect]:
        if message.event == "heartbeat":
            return _answer(message, "ok", {}, message.join_ref)
        return _answer(message, "error", {"code": "unmatched_topic", "reason": "unmatched topic"})

    def _join(self, message: Message) -> Sequence[Effect]:
        old = self.channels.get(message.topic)
        ended = self.end(old, "phx_close") if old is not None else ()
        if len(self.channels) >= self._max_channels:
            refusal = {"code": "too_many_channels", "reason": "too many channels joined"}
            return (*ended, *_answer(message, "error", refusal, message.join_ref))
        if not isinstance(message.payload, dict):
            refusal = {"code": "invalid_request", "reason": "The join params are a JSON object."}
            return (*ended, *_answer(message, "error", refusal, message.join_ref))
        channel = self.channels[message.topic] = Channel(message)
        return (*ended, CheckJoin(channel, message.payload))

    def _push(self, message: Message, channel: Channel | None) -> Sequence[Effect]:
        if channel is None:
            return _answer(message, "error", {"code": "unmatched_topic", "reason": "unmatched topic"})
        if message.join_ref is not None and message.join_ref != channel.join_ref:
            return ()  # meant for an earlier join of this topic
        if channel.queued is not None:
            if len(channel.queued) >= MAX_QUEUED:
                refusal = {"code": "too_many_requests", "reason": "The channel is not joined yet."}
                return _answer(message, "error", refusal, channel.join_ref)
            channel.queued.append(message)
            return ()
        return (HandleMessage(channel, message),)

    def _leave(self, message: Message, channel: Channel | None) -> Sequence[Effect]:
        if channel is None:
            return _answer(message, "ok", {}, message.join_ref)
        if message.join_ref is not None and message.join_ref != channel.join_ref:
            return ()  # it crossed the end of that join, which the client has been told of
        answer = Send(reply(message, "ok", {}, channel.join_ref))
        return (answer, *self.end(channel, "phx_close"))


def _answer(message: Message, status: str, response: Any, join_ref: str | None = None) -> Sequence[Effect]:
    return (Send(reply(message, status, response, join_ref)),)
