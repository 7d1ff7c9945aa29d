"""One connected client on any transport: its credential, its channels, and its requests in progress.

A :class:`ConnectedClient` carries out the effects of the protocol's
:class:`~notifyx_gateway.socket.protocol.ChannelSet`. Its methods are synchronous, except for the tasks that it starts,
so the messages of a connection are handled in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from notifyx_common.background import Tasks
from notifyx_common.errors import (
    DeadlineExceeded,
    Forbidden,
    Internal,
    InvalidRequest,
    NotFound,
    NotifyxError,
    TooManyRequests,
    Unauthenticated,
)
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.delivery.sinks import Format
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.frames import Message, reply
from notifyx_gateway.socket.protocol import (
    Channel,
    ChannelHandler,
    ChannelSet,
    CheckJoin,
    Close,
    Effect,
    HandleMessage,
    Send,
    StartDelivery,
)

log = get_logger(__name__)

TOKEN_EXPIRED = 4001
INTERNAL_ERROR = 1011
HARD_LIMIT = 4
"""Times ``max_in_flight`` after which requests are refused: what was read before reading paused still comes."""


class ClientTransport(Protocol):
    """What carries a client's messages."""

    @property
    def transport(self) -> str:
        """Its name in metrics."""
        ...

    @property
    def closed(self) -> bool: ...

    def send(self, data: bytes) -> None:
        """Send one text message."""
        ...

    def deliver(self, payload: Any, size: int) -> None:
        """Send rows in the transport's format."""
        ...

    def writable_bytes(self) -> int: ...

    async def wait_drained(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Close, with a code that makes the client come back."""
        ...

    def pause(self) -> None:
        """Stop reading from the client."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def format(self, topic: str) -> Format:
        """How rows of channel ``topic`` look on this transport."""
        ...


MakeHandler = Callable[["ConnectedClient", Channel], ChannelHandler]
"""The handler for a channel's topic. Raises :class:`NotifyxError` when there is none."""


class ConnectedClient:
    """The server's view of one connected client."""

    __slots__ = (
        "_check_at",
        "_in_flight",
        "_key",
        "_make",
        "_paused",
        "_verified",
        "channel_set",
        "context",
        "expires_at",
        "tasks",
        "transport",
    )

    def __init__(
        self,
        transport: ClientTransport,
        context: SocketContext,
        make: MakeHandler,
        *,
        verified: VerifiedToken | None,
        key: str | None,
    ) -> None:
        """``verified`` for an access token, ``key`` for a credential that is still to be looked up."""
        self.transport = transport
        self.context = context
        self.channel_set = ChannelSet(context.settings.max_channels)
        self._make = make
        self._verified = verified
        self._key = key
        self.expires_at = verified.expires_at.timestamp() if verified is not None else float("inf")
        self._check_at = float("inf")
        self._in_flight = 0
        self._paused = False
        self.tasks = Tasks(context.background)
        """What works for this client, until the connection ends."""

    @property
    def principal(self) -> Principal:
        """Who it is; only asked after the first join was let through."""
        assert self._verified is not None, "no channel is made before the credential is proved"
        return self._verified.principal

    def message(self, message: Message) -> None:
        """Take one message."""
        self.apply(self.channel_set.receive(message))

    def apply(self, effects: Sequence[Effect]) -> None:
        """Carry out effects, in order."""
        for effect in effects:
            match effect:
                case Send(data):
                    self.transport.send(data)
                case HandleMessage(channel, message):
                    self._dispatch(channel, message)
                case CheckJoin(channel, params):
                    self.tasks.spawn("join", self._join(channel, params))
                case StartDelivery(channel):
                    channel.joined.on_live()
                case Close(channel):
                    if channel.handler is not None:
                        channel.handler.on_ended()

    def push(self, channel: Channel, data: bytes) -> None:
        """Send ``data`` if ``channel`` is still joined."""
        if channel.queued is None and self.channel_set.channels.get(channel.topic) is channel:
            self.transport.send(data)

    def end(self, channel: Channel, event: str) -> None:
        """End a channel from the server's side."""
        self.apply(self.channel_set.end(channel, event))

    def on_closed(self) -> None:
        """The connection is closed: leave everything."""
        self.apply(self.channel_set.clear())
        self.tasks.cancel()

    # Requests

    def reply_when_done(
        self, channel: Channel, message: Message, future: asyncio.Future[Any], to_response: Callable[[Any], Any]
    ) -> None:
        """Reply to ``message`` with the future's result as ``to_response`` makes it, or with its error."""
        self._in_flight += 1
        if not self._paused and self._in_flight >= self.context.settings.max_in_flight:
            self._paused = True
            self.transport.pause()

        def done(future: asyncio.Future[Any]) -> None:
            self._in_flight -= 1
            if self._paused and self._in_flight <= self.context.settings.max_in_flight // 2:
                self._paused = False
                self.transport.resume()
            error = None if future.cancelled() else future.exception()
            if future.cancelled() or self.transport.closed:
                return
            if error is None:
                self._reply(channel, message, "ok", to_response(future.result()))
            else:
                self._reject(channel, message, error)

        future.add_done_callback(done)

    def run(
        self,
        channel: Channel,
        message: Message,
        work: Coroutine[Any, Any, Any],
        to_response: Callable[[Any], Any] = lambda result: result,
    ) -> None:
        """Like :meth:`reply_when_done`, for a coroutine, which gets the request's deadline."""
        bounded = _within(self.context.settings.request_deadline, work)
        self.reply_when_done(channel, message, self.tasks.shared("request", bounded), to_response)

    def _dispatch(self, channel: Channel, message: Message) -> None:
        try:
            if self._in_flight >= self.context.settings.max_in_flight * HARD_LIMIT:
                raise TooManyRequests("Too many requests of this connection are being worked on.")
            if not isinstance(message.payload, dict):
                raise InvalidRequest("The payload is a JSON object.")
            channel.joined.handle(message)
        except NotifyxError as error:
            self._reject(channel, message, error)

    def _reject(self, channel: Channel, message: Message, error: BaseException) -> None:
        if not isinstance(error, NotifyxError):
            log.error("socket_request_failed", exc_info=error)
            error = Internal("Something went wrong on our side; it has been logged.")
        self._reply(channel, message, "error", error.to_reply())

    def acknowledge(self, channel: Channel, message: Message) -> None:
        """Reply that ``message`` was carried out."""
        self._reply(channel, message, "ok", {})

    def _reply(self, channel: Channel, message: Message, status: str, response: Any) -> None:
        if message.ref is not None:
            self.transport.send(reply(message, status, response, channel.join_ref))

    # Joins

    async def _join(self, channel: Channel, params: dict[str, Any]) -> None:
        joins = self.context.metrics.counter("notifyx_joins_total")
        try:
            response = await _within(self.context.settings.join_deadline, self._open(channel, params))
        except NotifyxError as error:
            joins.labels(error.code).inc()
            self.apply(self.channel_set.reject(channel, _join_error(error)))
            if isinstance(error, Unauthenticated):
                self.transport.close(TOKEN_EXPIRED, "the credential is not valid")
        except Exception as error:
            log.error("join_failed", exc_info=error)
            joins.labels("internal").inc()
            self.apply(self.channel_set.reject(channel, {"code": "internal", "reason": "join crashed"}))
        else:
            joins.labels("ok").inc()
            self.apply(self.channel_set.accept(channel, response))

    async def _open(self, channel: Channel, params: dict[str, Any]) -> dict[str, Any]:
        if self._verified is None:
            await self.authenticate_key()
        handler = channel.handler = self._make(self, channel)
        return await handler.join(params)

    # Credentials

    async def authenticate_key(self) -> None:
        """Look the key up (again). Raises :class:`Unauthenticated` when it is not valid (any more)."""
        assert self._key is not None, "an access token is proved at the upgrade"
        verified = await self.context.authenticator.authenticate(self._key)
        self._set_credential(verified)

    def replace_token(self, token: str) -> None:
        """Go on with a newer token. Raises :class:`Unauthenticated`, or :class:`Forbidden` for another user's."""
        verified = self.context.authenticator.verify(token)
        if verified.principal.id != self.principal.id:
            raise Forbidden("The token belongs to another user.", code="other_user")
        self._key = None
        self._set_credential(verified)

    def check_credential(self, now: float) -> None:
        """Close when the token's time is over (``now`` is epoch seconds); what was looked up is looked up again.

        While nobody answers, a key's connections stay: only a key that is refused loses them.
        """
        if self._key is not None:
            if now > self._check_at:
                self._check_at = now + self.context.settings.key_check_interval
                self.tasks.spawn("credential check", self._revalidate())
        elif now > self.expires_at + self.context.settings.token_grace:
            self.transport.close(TOKEN_EXPIRED, "the token has expired")

    async def _revalidate(self) -> None:
        try:
            await self.authenticate_key()
        except Unauthenticated:
            self.transport.close(TOKEN_EXPIRED, "the credential is not valid any more")
        except NotifyxError as error:
            log.info("credential_check_postponed", code=error.code)

    def _set_credential(self, verified: VerifiedToken) -> None:
        self._verified = verified
        self.expires_at = verified.expires_at.timestamp()
        self._check_at = self.context.clock.now().timestamp() + self.context.settings.key_check_interval


async def _within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise DeadlineExceeded("The answer did not come in time.") from None


def _join_error(error: NotifyxError) -> dict[str, Any]:
    answer = error.to_reply()
    if isinstance(error, Unauthenticated | Forbidden):
        answer = {**answer, "reason": "unauthorized", "detail": error.reason}
    elif isinstance(error, NotFound) and error.code != "unmatched_topic":
        answer = {**answer, "reason": "not found", "detail": error.reason}
    return answer
