"""One connected client on any transport: its credential, its channels, and its requests in progress.

A :class:`ConnectedClient` carries out the effects of the protocol's
:class:`~notifyx_gateway.socket.protocol.ChannelSet`. Its methods are synchronous, except for the tasks that it starts,
so the messages of a connection are handled in order.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

from notifyx_common.background import Tasks
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    Internal,
    InvalidRequest,
    NotFound,
    NotifyxError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.delivery.sinks import Format
from notifyx_gateway.errors import RateLimited
from notifyx_gateway.socket.budget import Budget
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.ending import Ending
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

SERVICE_RESTART = 1012
TOKEN_EXPIRED = 4001
INTERNAL_ERROR = 1011
POLICY_VIOLATION = 1008
MAX_QUEUED = 32
"""Maximum number of messages that wait for the reply to a join; beyond it, reading pauses."""

WORK = 64
"""What a request with work of its own counts as in flight: it costs more than a publish or an acknowledgement does."""


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

    def waiting_bytes(self) -> int:
        """Return how many bytes wait to be written."""
        ...

    def writable_bytes(self) -> int: ...

    async def wait_drained(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Close with ``code``, after which the client reconnects."""
        ...

    def end(self, code: int, reason: str) -> None:
        """Read nothing more; close with ``code`` once what was received is answered, or after a deadline."""
        ...

    def pause(self) -> None:
        """Stop reading from the client until :meth:`resume`."""
        ...

    def resume(self) -> None:
        """Read from the client again."""
        ...

    def pause_for(self, seconds: float) -> None:
        """Stop reading from the client for ``seconds``."""
        ...

    def format(self, topic: str) -> Format:
        """Return the encoding of rows for channel ``topic``."""
        ...


class JoiningHandler(ChannelHandler, Protocol):
    """The handler of a channel whose join is checked at the store."""

    def join(self, params: dict[str, Any]) -> asyncio.Future[JoinResult]:
        """Begin to check the join; cancelling the future leaves it. Raises :class:`NotifyxError`."""
        ...

    def accepted(self, result: JoinResult) -> dict[str, Any]:
        """Return the reply to the join, which was accepted with ``result``."""
        ...


MakeHandler = Callable[["ConnectedClient", Channel], JoiningHandler]
"""Returns the handler for a channel's topic. Raises :class:`NotifyxError` if there is none."""


class ConnectedClient:
    """One connected client."""

    __slots__ = (
        "_check_at",
        "_ending",
        "_flow",
        "_in_flight",
        "_in_flight_bytes",
        "_joins",
        "_key",
        "_make",
        "_paused",
        "_queued",
        "_reading_history",
        "_tasks",
        "_verified",
        "budget",
        "channel_set",
        "context",
        "expires_at",
        "transport",
    )

    def __init__(
        self,
        transport: ClientTransport,
        context: SocketContext,
        make: MakeHandler,
        *,
        verified: VerifiedToken,
        key: str | None,
    ) -> None:
        """``key`` is the verified credential if it has to be verified remotely, again and again."""
        self.transport = transport
        self.context = context
        self.channel_set = ChannelSet(context.settings.max_channels, lambda: context.hub.feed.away)
        self._make = make
        self._key = key
        self._check_at: float
        self._verified = verified
        self._set_credential(verified)
        self._joins: dict[Channel, asyncio.Future[JoinResult]] = {}
        self._in_flight = self._in_flight_bytes = 0
        self._flow = context.flows.of(verified.principal.id)
        self._queued = (0, 0)
        """What of :attr:`ChannelSet.queued` counts in the flow."""
        self._paused = False
        self.budget = Budget(context.rates, context.clock)
        self._reading_history: asyncio.Lock | None = None
        self._tasks: Tasks | None = None
        self._ending: Ending | None = None

    @property
    def principal(self) -> Principal:
        """Who the client is."""
        return self._verified.principal

    @property
    def reading_history(self) -> asyncio.Lock:
        """Held by the one page of history that this client reads at a time."""
        if self._reading_history is None:
            self._reading_history = asyncio.Lock()
        return self._reading_history

    def message(self, message: Message) -> None:
        """Handle one message."""
        channel = self.channel_set.recipient(message)
        if channel is not None:
            self._dispatch(channel, message)
        elif effects := self.channel_set.receive(message):
            self.apply(effects)
            self.spend_control()
        self.pace()

    def spend_control(self) -> None:
        """Count a message of a kind that no honest client sends in numbers."""
        wait = self.budget.spend_control()
        if self.budget.hopeless:
            self.transport.end(POLICY_VIOLATION, "too many joins, leaves, heartbeats or rejected messages")
        elif wait:
            self.transport.pause_for(wait)

    def apply(self, effects: Sequence[Effect]) -> None:
        """Carry out effects, in order."""
        for effect in effects:
            match effect:
                case Send(data):
                    self.transport.send(data)
                case HandleMessage(channel, message):
                    self._dispatch(channel, message)
                case CheckJoin(channel, params):
                    self._join(channel, params)
                case StartDelivery(channel):
                    channel.joined.on_live()
                case Close(channel):
                    if (unanswered := self._joins.pop(channel, None)) is not None:
                        unanswered.cancel()
                    if channel.handler is not None:
                        channel.handler.on_ended()

    def push(self, channel: Channel, data: bytes) -> None:
        """Send ``data`` if ``channel`` is still joined."""
        if channel.queued is None and self.channel_set.channels.get(channel.topic) is channel:
            self.transport.send(data)

    def end(self, channel: Channel, event: str) -> None:
        """End a channel on the server's initiative."""
        self.apply(self.channel_set.end(channel, event))

    def close_when_answered(self, code: int, reason: str) -> None:
        """Close once nothing received is unanswered, or after a request's deadline; nothing more is received."""
        close = functools.partial(self.transport.close, code, reason)
        if self._answered():
            close()
        else:
            self._ending = Ending(self._answered, close, self.context.settings.request_deadline)

    def _answered(self) -> bool:
        return not (self._in_flight or self.channel_set.queued)

    def on_closed(self) -> None:
        """End all channels and tasks; the connection is closed."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self.apply(self.channel_set.clear())
        self._count_queued()
        self._flow.leave(self)
        if self._tasks is not None:
            self._tasks.cancel()

    async def aclose(self) -> None:
        """Cancel and await all tasks."""
        if self._tasks is not None:
            await self._tasks.close()

    # Requests

    def reply_when_done(
        self,
        channel: Channel,
        message: Message,
        future: asyncio.Future[Any],
        to_response: Callable[[Any], Any],
        weight: int = 1,
    ) -> None:
        """Reply to ``message`` with the future's result, converted by ``to_response``, or with its error."""
        self.begin(message, weight)

        def done(future: asyncio.Future[Any]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                self.fail(channel, message, error, weight)
            elif future.cancelled() or self.transport.closed:
                self._end(message, weight)
            else:
                self.finish(channel, message, to_response(future.result()), weight)

        future.add_done_callback(done)

    def begin(self, message: Message, weight: int = 1) -> None:
        """Count ``message`` as in flight, until :meth:`finish` or :meth:`fail`."""
        self._in_flight += weight
        self._in_flight_bytes += message.size
        self._flow.begin(1, message.size)

    def finish(self, channel: Channel, message: Message, response: Any, weight: int = 1) -> None:
        """Reply to ``message``, which was in flight."""
        self._end(message, weight)
        if not self.transport.closed:
            self._reply(channel, message, "ok", response)

    def fail(self, channel: Channel, message: Message, error: BaseException, weight: int = 1) -> None:
        """Reject ``message``, which was in flight."""
        self._end(message, weight)
        if not self.transport.closed:
            self._reject(channel, message, error)
            if _is_rejection(error):
                self.spend_control()

    def run(
        self,
        channel: Channel,
        message: Message,
        work: Coroutine[Any, Any, Any],
        to_response: Callable[[Any], Any] = lambda result: result,
    ) -> None:
        """Run ``work`` with the request's deadline, and reply to ``message`` when it is done."""
        task = self._own_tasks().shared("request", _within(self.context.settings.request_deadline, work))
        task.add_done_callback(lambda _: work.close())  # a connection that closes ends tasks before they begin
        self.reply_when_done(channel, message, task, to_response, WORK)

    def _own_tasks(self) -> Tasks:
        """Return the tasks of this client, which end with the connection; most connections have none."""
        if self._tasks is None:
            self._tasks = Tasks(self.context.background)
            if self.transport.closed:
                self._tasks.cancel()
        return self._tasks

    def _dispatch(self, channel: Channel, message: Message) -> None:
        try:
            if not isinstance(message.payload, dict):
                if isinstance(message.payload, InvalidRequest):
                    raise message.payload
                raise InvalidRequest("The payload is a JSON object.")
            channel.joined.handle(message)
        except NotifyxError as error:
            self._reject(channel, message, error)
            if _is_rejection(error):
                self.spend_control()

    def _end(self, message: Message, weight: int = 1) -> None:
        self._in_flight -= weight
        self._in_flight_bytes -= message.size
        self._flow.end(1, message.size)
        self.pace()
        if self._ending is not None:
            self._ending.check()

    def must_wait(self) -> bool:
        """Return whether the next message waits for answers to earlier ones of this account; reading then pauses."""
        if self._flow.full and not self._paused:
            self.pace()
        return self._paused

    def pace(self) -> None:
        """Stop reading while there is as much unanswered as may be, until half of it is answered."""
        settings, queued, flow = self.context.settings, self.channel_set.queued, self._flow
        if queued != self._queued[0]:
            self._count_queued()
        if self._paused:
            if (
                self._in_flight <= settings.max_in_flight // 2
                and self._in_flight_bytes <= settings.max_in_flight_bytes // 2
                and queued <= MAX_QUEUED // 2
            ):
                if flow.full:
                    flow.wait(self)
                    return
                self._paused = False
                self.transport.resume()
        elif (
            self._in_flight >= settings.max_in_flight
            or self._in_flight_bytes >= settings.max_in_flight_bytes
            or queued >= MAX_QUEUED
            or flow.full
        ):
            self._paused = True
            if flow.full:
                flow.wait(self)
            self.transport.pause()

    def _count_queued(self) -> None:
        (items, size), now = self._queued, (self.channel_set.queued, self.channel_set.queued_bytes)
        self._queued = now
        if now[0] > items:
            self._flow.begin(now[0] - items, now[1] - size)
        elif now[0] < items:
            self._flow.end(items - now[0], size - now[1])

    def _reject(self, channel: Channel, message: Message, error: BaseException) -> None:
        if not isinstance(error, NotifyxError):
            log.error("socket_request_failed", exc_info=error)
            error = Internal("Something went wrong on our side; it has been logged.")
        self._record_rejection(channel, error)
        self._reply(channel, message, "error", error.to_reply())

    def acknowledge(self, channel: Channel, message: Message) -> None:
        """Reply that ``message`` was carried out."""
        self._reply(channel, message, "ok", {})

    def _reply(self, channel: Channel, message: Message, status: str, response: Any) -> None:
        if message.ref is not None:
            self.transport.send(reply(message, status, response, channel.join_ref))

    # Joins

    def _join(self, channel: Channel, params: dict[str, Any]) -> None:
        # Without a task: the lane that checks the join has a deadline, and thousands may join at once.
        try:
            handler = self._make(self, channel)
            channel.handler = handler
            checked = handler.join(params)
        except NotifyxError as error:
            self._reject_join(channel, error)
            return
        except Exception as error:
            log.error("join_failed", exc_info=error)
            self._reject_join(channel, Internal("join crashed"))
            return
        self.begin(channel.join)
        self._joins[channel] = checked
        checked.add_done_callback(functools.partial(self._join_checked, channel, handler))

    def _join_checked(self, channel: Channel, handler: JoiningHandler, checked: asyncio.Future[JoinResult]) -> None:
        self._joins.pop(channel, None)
        self._end(channel.join)
        if checked.cancelled():
            self._count_join("left")
        elif (error := checked.exception()) is None:
            self.context.joined.inc()
            self.apply(self.channel_set.accept(channel, handler.accepted(checked.result())))
        elif isinstance(error, NotifyxError):
            self._reject_join(channel, error)
        else:
            log.error("join_failed", exc_info=error)
            self._reject_join(channel, Internal("join crashed"))
        self.pace()

    def _reject_join(self, channel: Channel, error: NotifyxError) -> None:
        self._record_rejection(channel, error)
        self._count_join(error.code)
        self.apply(self.channel_set.reject(channel, _join_error(error)))

    def _count_join(self, outcome: str) -> None:
        self.context.metrics.counter("notifyx_joins_total").labels(outcome).inc()

    def _record_rejection(self, channel: Channel, error: NotifyxError) -> None:
        principal = self.principal
        self.context.security.record_rejection(
            error, actor=principal.id, credential=principal.key_id or "", subject=channel.topic
        )

    # Credentials

    def replace_token(self, token: str) -> None:
        """Replace the token. Raises :class:`Unauthenticated`, or :class:`Forbidden` for another user's token."""
        verified = self.context.authenticator.verify(token)
        if verified.principal.id != self.principal.id:
            raise Forbidden("The token belongs to another user.", code="other_user")
        self._key = None
        self._set_credential(verified)

    def check_credential(self, now: float) -> None:
        """End the connection once its token has expired (``now`` in epoch seconds); verify a key again when due.

        While the verifier is unavailable, connections with a key stay open: only a rejected key closes them.
        """
        if self._key is not None:
            if now > self._check_at:
                self._check_at = now + self.context.settings.key_check_interval
                self._own_tasks().spawn("credential check", self._revalidate(self._key))
        elif now > self.expires_at + self.context.settings.token_grace:
            self.transport.end(TOKEN_EXPIRED, "the token has expired")

    def credential_changed(self) -> None:
        """Close the connection if its credential has ended; else it goes on with what that proves now."""
        try:
            principal = self.context.authenticator.current(self.principal)
        except Unauthenticated as error:
            self.transport.close(TOKEN_EXPIRED, error.reason)
            return
        if principal is not self.principal:
            self._set_credential(replace(self._verified, principal=principal))

    async def _revalidate(self, key: str) -> None:
        try:
            self._set_credential(await self.context.authenticator.authenticate(key))
        except Unauthenticated:
            self.transport.close(TOKEN_EXPIRED, "the credential is not valid any more")
        except NotifyxError as error:
            log.info("credential_check_postponed", code=error.code)

    def _set_credential(self, verified: VerifiedToken) -> None:
        before, self._verified = self._verified, verified
        self.expires_at = verified.expires_at.timestamp()
        self._check_at = self.context.clock.now().timestamp() + self.context.settings.key_check_interval
        if before is not verified and not _same_rights(before.principal, verified.principal):
            for channel in tuple(self.channel_set.channels.values()):
                if channel.handler is not None:
                    channel.handler.credential_changed()


def _same_rights(before: Principal, after: Principal) -> bool:
    """Return whether no channel has to be checked again: a name has no part in what a principal may do."""
    return before.model_copy(update={"name": after.name}) == after


def _is_rejection(error: BaseException) -> bool:
    """Return whether the request was at fault, rather than the state or the load of the platform."""
    if isinstance(error, RateLimited):
        return True
    passing = Conflict | DeadlineExceeded | Internal | TooManyRequests | Unavailable
    return isinstance(error, NotifyxError) and not isinstance(error, passing)


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
