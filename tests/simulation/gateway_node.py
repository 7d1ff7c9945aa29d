"""A gateway: the real store client, hub, channels, streams, long-poll sessions and email dispatch."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import orjson

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.contracts.mailer import Mail, MailResult, MailResults
from notifyx_common.errors import DeadlineExceeded, NotifyxError
from notifyx_common.security_log import SecurityLog
from notifyx_gateway.delivery.hub import Hub, HubSettings
from notifyx_gateway.limits import Limits
from notifyx_gateway.mail.dispatch import Dispatcher
from notifyx_gateway.rest.stream import EventStream
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.socket.admission import Admission
from notifyx_gateway.socket.connection import WebSocketConnection
from notifyx_gateway.socket.listener import SocketListener
from notifyx_gateway.socket.longpoll import join_token, split_token
from notifyx_gateway.socket.longpoll_session import LongPollSession
from notifyx_gateway.socket.parser import TEXT, Frame
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.upstream.outbox import Outbox
from notifyx_gateway.upstream.store import Store
from simulation.clock import SimulatedClock
from simulation.loop import SimulatedLoop
from simulation.metrics import METRICS
from simulation.network import End, Host, Network
from simulation.session import Connections, FindHost, SimulatedSession
from support.socket_gateway import NamedTokens, check_grants, resolve_user, user

MAX_PENDING = 3_000
"""Bytes that may wait for one client: few, so that slow ones meet the bound."""

KERNEL = 1_000
"""Bytes that the kernels on both sides hold of a connection."""

HEDGE_SHARE = 0.2
"""More calls than in production may be sent to a second store: a history has few."""

MAILER = "mailer"


@cache
def gateway_settings() -> GatewaySettings:
    """Return the settings of all gateways."""
    return GatewaySettings(internal_token="internal-token-for-tests")


class GatewayNode:
    """One process of a gateway."""

    def __init__(
        self, name: str, generation: int, network: Network, stores: Sequence[str], find: FindHost, *, mails: bool
    ) -> None:
        """``mails``: whether there is email to dispatch."""
        self.host = Host(name)
        self._network = network
        self._find = find
        self._loop: SimulatedLoop = network.loop
        self._sessions: dict[str, LongPollSession] = {}
        self._opened = 0
        self._batches = 0
        self._name = f"{name}-{generation}"
        self.connections = Connections(network, self.host, find)
        background = self.background = Background(METRICS)
        clock = self._clock = SimulatedClock(network.loop)
        session = cast(aiohttp.ClientSession, SimulatedSession(self.connections))
        self._client = ServiceClient(
            "store",
            discovery=StaticDiscovery({"store": [Endpoint(one, f"http://{one}") for one in stores]}),
            token="internal-token-for-tests",
            metrics=METRICS,
            clock=clock,
            outages=background,
            hedge_share=HEDGE_SHARE,
            session=lambda headers: session,
        )
        self.store = Store(self._client, clock=clock, metrics=METRICS, background=background, batch_id=self._batch_id)
        self.hub = Hub(
            store=self.store, metrics=METRICS, clock=clock, background=background, settings=HubSettings(linger=2.0)
        )
        listener = SocketListener(
            hub=self.hub,
            store=self.store,
            authenticator=NamedTokens(clock),
            resolve_user=resolve_user,
            check_grants=check_grants,
            limits=Limits(gateway_settings(), clock=clock, metrics=METRICS, background=background, shared=None),
            settings=SocketSettings(port=0, max_pending=MAX_PENDING),
            metrics=METRICS,
            clock=clock,
            background=background,
            security=SecurityLog(METRICS, clock),
            work_clock=clock.monotonic,
        )
        self._context = listener.context
        self._dispatcher = Dispatcher(
            outbox=Outbox(self._client, self._name),
            auth=cast(Any, self),
            mailer=cast(Any, self),
            public_url="https://simulated",
            metrics=METRICS,
            clock=clock,
            background=background,
            lease_seconds=6.0,
            task_timeout=3.0,
            poll_seconds=0.8,
        )
        self._mails = mails
        network.loop.create_task(self._run(), context=self.host.context.copy())

    def _batch_id(self) -> str:
        self._batches += 1
        return hashlib.blake2b(f"{self._name} {self._batches}".encode(), digest_size=16).hexdigest()

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            for part in (self._client, self.store, self.hub):
                await stack.enter_async_context(part)
            if self._mails:
                await stack.enter_async_context(self._dispatcher)
            self.host.accepts = {
                "socket": self._accept_socket,
                "poll": self._accept_poll,
                "stream": self._accept_stream,
                "read": self._accept_read,
            }
            await asyncio.Event().wait()

    def _admit(self, user_id: str) -> Admission:
        decision = self._context.admissions.decide(f"user.{user_id}", None)
        assert isinstance(decision, Admission)
        return decision

    # WebSocket

    def _accept_socket(self, end: End, user_id: str) -> None:
        connection = WebSocketConnection(
            self._context,
            self._admit(user_id),
            on_opened=lambda _: None,
            on_closed=lambda _, __: None,
            on_gone=lambda _: None,
        )
        connection.opened(RawTransport(end, connection))
        end.start(
            lambda text: connection.receive(Frame(TEXT, final=True, reserved=False, payload=text)), connection.gone
        )

    # Long poll: what the routes do, without HTTP

    def _accept_poll(self, end: End, _: Any) -> None:
        answering: list[asyncio.Task[None]] = []

        def received(request: Any) -> None:
            answering.append(self._loop.create_task(self._answer_poll(end, *request)))

        def lost() -> None:  # whoever serves HTTP cancels the work on a request whose connection is lost
            for task in answering:
                task.cancel()

        end.start(received, lost)

    async def _answer_poll(self, end: End, kind: str, token: str, content: Any) -> None:
        name, seen = split_token(token)
        session = self._sessions.get(name)
        if kind == "open":
            self._opened += 1
            name = f"{self._name}.{self._opened}"
            self._sessions[name] = LongPollSession(self._context, self._admit(content))
            end.send((410, join_token(name, 0), ()))
        elif session is None:
            end.send((410, "", ()))
        elif kind == "push":
            await session.push(seen, b"\n".join(content), content)
            end.send((200, "", ()))
        else:
            found = await session.poll(seen, self._soon)
            if session.closed and not found.messages:
                self._sessions.pop(name, None)
                end.send((410, "", ()))
            else:
                end.send((200 if found.messages else 204, join_token(name, found.number), tuple(found.messages)))

    def _soon(self, read: Callable[[], None]) -> None:
        self._loop.call_soon(read)

    # Event streams: what the route does, without HTTP

    def _accept_stream(self, end: End, asked: tuple[str, str, int | None]) -> None:
        self._loop.create_task(self._stream(end, *asked))

    async def _stream(self, end: End, user_id: str, topic: str, since: int | None) -> None:
        principal = user(user_id)
        asked_at = self._clock.monotonic()
        try:
            result = await self.store.join(principal, topic, since)
        except NotifyxError as error:
            end.send(b"event: refused\ndata: %b\n\n" % error.code.encode())
            end.close()
            return
        stream = EventStream(principal, result.topic, max_pending=MAX_PENDING, together=self.hub.pending)
        stream.send_event("joined", result.model_dump(exclude={"topic_id", "version"}))
        self.hub.attach(stream, result, since, asked_at)
        end.start(lambda _: None, stream.close)
        try:
            while (chunk := await stream.next_chunk(15.0)) is not None:
                end.send(chunk)
                stream.on_written(chunk)
        finally:
            self.hub.detach(stream)
            end.close()

    # One's own position, as REST reads it

    def _accept_read(self, end: End, asked: tuple[str, str]) -> None:
        self._loop.create_task(self._read(end, *asked))

    async def _read(self, end: End, user_id: str, topic: str) -> None:
        end.start(lambda _: None, lambda: None)
        try:
            end.send((await self.store.unread(user_id, topic)).model_dump_json().encode())
        except NotifyxError:
            end.close()

    # Auth and mailer, as the dispatcher calls them

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The mailer."""
        return [Endpoint(MAILER, f"http://{MAILER}")]

    available = endpoints

    async def resolve(self, users: Sequence[str], *, deadline: float) -> Mapping[str, ResolvedUser]:
        """Everybody has a verified address."""
        answer = self._call(MAILER, "resolve", None, deadline)
        await answer
        return {
            name: ResolvedUser(id=name, email=f"{name}@example.org", name=name, email_verified=True) for name in users
        }

    async def send_to(self, endpoint: Endpoint, mails: Sequence[Mail], *, seconds: float) -> MailResults:
        """Send ``mails`` by the mailer."""
        asked = [(mail.id, mail.message_id, mail.to, mail.context.model_dump(mode="json")) for mail in mails]
        await self._call(MAILER, "send", orjson.dumps(asked), seconds)
        return MailResults(results=[MailResult(id=mail.id, status="sent") for mail in mails], connections=2)

    async def _call(self, name: str, kind: str, content: bytes | None, seconds: float) -> None:
        answered: asyncio.Future[None] = self._loop.create_future()

        def end_with(error: NotifyxError | None) -> None:
            if answered.done():
                return
            if error is None:
                answered.set_result(None)
            else:
                answered.set_exception(error)

        try:
            async with asyncio.timeout(seconds):
                end = await self.connections.open(name, kind)
                end.start(lambda _: end_with(None), lambda: end_with(DeadlineExceeded("The answer was lost.")))
                end.send(content or b"-")
                try:
                    await answered
                finally:
                    end.close()
        except (TimeoutError, ConnectionRefusedError):
            raise DeadlineExceeded("It did not answer.") from None


class RawTransport:
    """What a :class:`WebSocketConnection` writes to."""

    def __init__(self, end: End, connection: WebSocketConnection) -> None:
        self._end = end
        self._connection = connection
        self._high = self._low = 0
        self._paused = False
        end.progress = self._written

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Note the water marks."""
        self._high, self._low = high, low

    def get_extra_info(self, name: str) -> Any:
        """Return a socket without a descriptor: everything is written through the transport."""
        return SimpleNamespace(fileno=lambda: -1)

    def write(self, data: Any) -> None:
        """Send."""
        self._end.send(bytes(data))
        if not self._paused and self.get_write_buffer_size() > self._high:
            self._paused = True
            self._connection.pause_writing()

    def _written(self) -> None:
        if self._paused and self.get_write_buffer_size() <= self._low:
            self._paused = False
            self._connection.resume_writing()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait."""
        return max(0, self._end.bytes_under_way - KERNEL)

    def is_closing(self) -> bool:
        """Return whether it is closed."""
        return self._end.closed

    def close(self) -> None:
        """Close."""
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        if not self._end.closed:
            self._end.close()
            self._end.network.loop.call_soon(self._connection.gone)

    def pause_reading(self) -> None:
        """What a connection has read waits in the connection."""

    def resume_reading(self) -> None:
        """As above."""
