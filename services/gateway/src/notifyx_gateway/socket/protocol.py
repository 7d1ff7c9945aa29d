"""The Phoenix Channels state machine of one connection, without I/O.

:class:`ChannelSet` receives messages and the results of joins, and returns effects that the caller executes in order:
send bytes, check a join, start a delivery, handle a message, close a channel. It never waits, and no input of a client
makes it raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from notifyx_common.errors import InvalidRequest
from notifyx_gateway.socket.frames import Message, Ref, encode, reply


class ChannelHandler(Protocol):
    """A joined (or joining) channel of a certain kind."""

    def on_live(self) -> None:
        """Start the delivery; the reply to the join has been sent."""
        ...

    def handle(self, message: Message) -> None:
        """Handle a message. Raises :class:`NotifyxError` if it is rejected at once."""
        ...

    def credential_changed(self) -> None:
        """The connection has another credential of the same user, with other rights."""
        ...

    def on_ended(self) -> None:
        """Clean up; called once, when the channel ends."""
        ...


class Channel:
    """One channel. ``queued`` holds its messages until the join is answered, then it is ``None``."""

    __slots__ = ("handler", "join", "queued", "topic")

    def __init__(self, join: Message) -> None:
        self.join = join
        self.topic = join.topic
        self.queued: list[Message] | None = []
        self.handler: ChannelHandler | None = None
        """Set by the caller when it checks the join; the protocol only reads it."""

    @property
    def joined(self) -> ChannelHandler:
        """The handler of a channel whose join was accepted."""
        assert self.handler is not None, "a join is accepted by the channel's handler"
        return self.handler

    @property
    def join_ref(self) -> Ref:
        """The ref of this join of the topic."""
        return self.join.join_ref


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message (a JSON text)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckJoin:
    """Check whether ``channel`` may be joined with ``params``; then call ``accept`` or ``reject``."""

    channel: Channel
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """Stop the work of ``channel``, which has ended."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class StartDelivery:
    """Start the delivery to ``channel``; the reply to its join has been sent."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class HandleMessage:
    """Pass ``message`` to its joined channel."""

    channel: Channel
    message: Message


Effect = Send | CheckJoin | Close | StartDelivery | HandleMessage

_OF_THE_PROTOCOL = frozenset({"phx_join", "phx_leave"})


class ChannelSet:
    """The channels of one connection."""

    __slots__ = ("_is_away", "_max_channels", "channels", "queued", "queued_bytes")

    def __init__(self, max_channels: int = 100, is_away: Callable[[], bool] = lambda: False) -> None:
        """``is_away`` returns whether nothing new can arrive at present; the answer to a heartbeat says so."""
        self.channels: dict[str, Channel] = {}
        self.queued = self.queued_bytes = 0
        """Number and size of the messages that are queued until the joins of their channels are answered."""
        self._max_channels = max_channels
        self._is_away = is_away

    def recipient(self, message: Message) -> Channel | None:
        """Return the channel that handles ``message`` now, if that is its only effect.

        It is for most messages, and spares them an effect each; all others are for :meth:`receive`.
        """
        channel = self.channels.get(message.topic)
        if channel is None or channel.queued is not None or message.event in _OF_THE_PROTOCOL:
            return None
        if message.join_ref is not None and message.join_ref != channel.join.join_ref:
            return None
        return channel

    def receive(self, message: Message) -> Sequence[Effect]:
        """Return the effects of a message from the client."""
        if isinstance(message.payload, InvalidRequest) and message.event != "phx_join":
            return _answer(message, "error", message.payload.to_reply(), message.join_ref)
        if message.topic == "phoenix":
            return self._phoenix(message)
        if message.event == "phx_join":
            return self._join(message)
        channel = self.channels.get(message.topic)
        if message.event == "phx_leave":
            return self._leave(message, channel)
        return self._push(message, channel)

    def accept(self, channel: Channel, response: Any) -> Sequence[Effect]:
        """Accept the join of ``channel``; no effect if it was left or replaced meanwhile."""
        if self.channels.get(channel.topic) is not channel or channel.queued is None:
            return ()
        queued, channel.queued = channel.queued, None
        self._dequeue(queued)
        sent = Send(reply(channel.join, "ok", response, channel.join_ref))
        return (sent, StartDelivery(channel), *(HandleMessage(channel, message) for message in queued))

    def reject(self, channel: Channel, response: Any) -> Sequence[Effect]:
        """Reject the join of ``channel``."""
        if self.channels.get(channel.topic) is not channel:
            return ()
        self._remove(channel)
        return (Close(channel), Send(reply(channel.join, "error", response, channel.join_ref)))

    def end(self, channel: Channel, event: str) -> Sequence[Effect]:
        """End a channel: ``phx_close`` for good, ``phx_error`` so that the client joins again."""
        if self.channels.get(channel.topic) is not channel:
            return ()
        self._remove(channel)
        return (Close(channel), Send(encode(channel.join_ref, channel.join_ref, channel.topic, event, {})))

    def clear(self) -> Sequence[Effect]:
        """Close all channels; the connection is closed."""
        channels, self.channels = self.channels, {}
        self.queued = self.queued_bytes = 0
        return tuple(Close(channel) for channel in channels.values())

    def _remove(self, channel: Channel) -> None:
        del self.channels[channel.topic]
        self._dequeue(channel.queued or ())

    def _dequeue(self, queued: Sequence[Message]) -> None:
        self.queued -= len(queued)
        self.queued_bytes -= sum(message.size for message in queued)

    def _phoenix(self, message: Message) -> Sequence[Effect]:
        if message.event == "heartbeat":
            return _answer(message, "ok", {"live": False} if self._is_away() else {}, message.join_ref)
        return _answer(message, "error", {"code": "unmatched_topic", "reason": "unmatched topic"})

    def _join(self, message: Message) -> Sequence[Effect]:
        old = self.channels.get(message.topic)
        ended = self.end(old, "phx_close") if old is not None else ()
        if len(self.channels) >= self._max_channels:
            rejection = {"code": "too_many_channels", "reason": "too many channels joined"}
            return (*ended, *_answer(message, "error", rejection, message.join_ref))
        if not isinstance(message.payload, dict):
            error = InvalidRequest("The join params are a JSON object.")
            if isinstance(message.payload, InvalidRequest):
                error = message.payload
            return (*ended, *_answer(message, "error", error.to_reply(), message.join_ref))
        channel = self.channels[message.topic] = Channel(message)
        return (*ended, CheckJoin(channel, message.payload))

    def _push(self, message: Message, channel: Channel | None) -> Sequence[Effect]:
        if channel is None:
            return _answer(message, "error", {"code": "unmatched_topic", "reason": "unmatched topic"})
        if message.join_ref is not None and message.join_ref != channel.join_ref:
            return ()  # meant for an earlier join of this topic
        if channel.queued is not None:
            self.queued += 1
            self.queued_bytes += message.size
            channel.queued.append(message)
            return ()
        return (HandleMessage(channel, message),)

    def _leave(self, message: Message, channel: Channel | None) -> Sequence[Effect]:
        if channel is None:
            return _answer(message, "ok", {}, message.join_ref)
        if message.join_ref is not None and message.join_ref != channel.join_ref:
            return ()  # that join has ended already, and the client was notified
        answer = Send(reply(message, "ok", {}, channel.join_ref))
        return (answer, *self.end(channel, "phx_close"))


def _answer(message: Message, status: str, response: Any, join_ref: Ref = None) -> Sequence[Effect]:
    return (Send(reply(message, status, response, join_ref)),)
