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
"""Factor of ``max_in_flight`` above which requests are rejected; messages read before the pause still arrive."""


class ClientTransport(Protocol):
    """The transport of one client's messages."""

    @property
    def transport(self) -> str:
        """Name of the transport in metrics."""
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
        """Close with ``code``, after which the client reconnects."""
        ...

    def pause(self) -> None:
        """Stop reading from the client."""
        ...

    def resume(self) -> None:
        """Resume reading from the client."""
        ...

    def format(self, topic: str) -> Format:
        """Return the encoding of rows for channel ``topic``."""
        ...


MakeHandler = Callable[["ConnectedClient", Channel], ChannelHandler]
"""Returns the handler for a channel's topic. Raises :class:`NotifyxError` if there is none."""


class ConnectedClient:
    """One connected client."""

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
        """``verified`` is an access token, ``key`` a credential that is still to be verified remotely."""
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
        """Tasks of this client; they end with the connection."""

    @property
    def principal(self) -> Principal:
        """The principal; known once the first join has been accepted."""
        assert self._verified is not None, "no channel is made before the credential is verified"
        return self._verified.principal

    def message(self, message: Message) -> None:
        """Handle one message."""
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
        """End a channel on the server's initiative."""
        self.apply(self.channel_set.end(channel, event))

    def on_closed(self) -> None:
        """End all channels and tasks; the connection is closed."""
        self.apply(self.channel_set.clear())
        self.tasks.cancel()

    # Requests

    def reply_when_done(
        self, channel: Channel, message: Message, future: asyncio.Future[Any], to_response: Callable[[Any], Any]
    ) -> None:
        """Reply to ``message`` with the future's result, converted by ``to_response``, or with its error."""
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
        """Run ``work`` with the request's deadline, and reply to ``message`` when it is done."""
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
        self._record_refusal(channel, error)
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
            self._record_refusal(channel, error)
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

    def _record_refusal(self, channel: Channel, error: NotifyxError) -> None:
        principal = self._verified.principal if self._verified is not None else None
        self.context.security.record_refusal(
            error,
            actor=principal.id if principal is not None else "",
            credential=(principal.key_id or "") if principal is not None else "",
            subject=channel.topic,
        )

    # Credentials

    async def authenticate_key(self) -> None:
        """Verify the key remotely. Raises :class:`Unauthenticated` if it is not valid."""
        assert self._key is not None, "an access token is verified at the upgrade"
        verified = await self.context.authenticator.authenticate(self._key)
        self._set_credential(verified)

    def replace_token(self, token: str) -> None:
        """Replace the token. Raises :class:`Unauthenticated`, or :class:`Forbidden` for another user's token."""
        verified = self.context.authenticator.verify(token)
        if verified.principal.id != self.principal.id:
            raise Forbidden("The token belongs to another user.", code="other_user")
        self._key = None
        self._set_credential(verified)

    def check_credential(self, now: float) -> None:
        """Close the connection once its token has expired (``now`` in epoch seconds); verify a key again when due.

        While the verifier is unavailable, connections with a key stay open: only a rejected key closes them.
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
        before, self._verified = self._verified, verified
        self.expires_at = verified.expires_at.timestamp()
        self._check_at = self.context.clock.now().timestamp() + self.context.settings.key_check_interval
        if before is not None and before.principal != verified.principal:
            for channel in tuple(self.channel_set.channels.values()):
                if channel.handler is not None:
                    channel.handler.credential_changed()


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
