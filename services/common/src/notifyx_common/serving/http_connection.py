"""One connection of an HTTP port: HTTP/1.1 alone, with a deadline for everything that its client has to do.

Hypercorn parses HTTP/1.1 and calls the app. Reading is done here, deadlines, writing and the end in modules of their
own: Hypercorn's server waits without a limit for a client that does not read, and speaks cleartext HTTP/2 to any client
that asks for it.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cached_property

import h11
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from notifyx_common.limiting.addresses import client_address, plain_address
from notifyx_common.serving.direct import DirectCalls
from notifyx_common.serving.frames import release_frames
from notifyx_common.serving.http1 import Http1
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_deadlines import Deadlines
from notifyx_common.serving.http_ending import Ending
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_output import Output
from notifyx_common.serving.http_turns import RequestTurns
from notifyx_common.serving.replies import encoded

MAX_AWAITED = 16 << 10
AWAITED_FOR = 0.05
AWAITED_PARTS = 3
"""Many clients send head and body apart. A body that is small follows in so many parts, each within that time, in
seconds, or is for Hypercorn.
"""

READ_SIZE = 64 << 10
"""Bytes that are read at once."""


class HttpConnection:
    """A connection; :meth:`run` returns when it is closed."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        direct: DirectCalls | None,
        *,
        websockets: bool,
        limits: HttpLimits,
        connections: Connections,
        turns: RequestTurns,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """``websockets``: whether the app has any."""
        self._app = app
        self._config = config
        self._context = context
        self._direct = direct
        self._limits = limits
        self._connections = connections
        self._turns = turns
        self._turn_key = ""
        self._has_turn = False
        self._reader = reader
        self._output = Output(writer, limits)
        self._deadlines = Deadlines(limits, self._deadline_passed)
        self._is_at_work = False
        self._directly_answered = 0
        self._scheme = "http" if writer.get_extra_info("ssl_object") is None else "https"
        self._client, self._server = _address(writer, "peername"), _address(writer, "sockname")
        self._group = TaskGroup(asyncio.get_running_loop())
        self._protocol = Http1(
            app,
            config,
            context,
            self._group,
            ConnectionState({}),
            self._scheme == "https",
            self._client,
            self._server,
            self._send,
            websockets=websockets,
        )
        self._ending = Ending(self._protocol, self._output, self._deadlines, self._group, limits.close_timeout)

    @property
    def peer(self) -> str:
        """The peer's address."""
        return self._client[0] if self._client is not None else ""

    @cached_property
    def address(self) -> str:
        """The peer's address by which its connections are counted: of IPv6, its /64."""
        return client_address(self.peer, None, ())

    async def run(self) -> None:
        """Serve the connection."""
        try:
            if self._connections.admit(self):
                await self._serve()
            else:
                self._output.abort()
        finally:
            self._deadlines.stop()
            self._protocol.release()
            if (lost := self._reader.exception()) is not None:
                release_frames(lost)

    async def _serve(self) -> None:
        try:
            async with self._group:
                self._deadlines.head()
                await self._read()
        finally:
            self._deadlines.nothing()
            try:
                await self._output.close()
            finally:
                self._connections.remove(self)

    def cut(self, reason: str) -> None:
        """Close the connection at once; what has not been written is lost."""
        self._connections.closed(reason)
        self._output.abort()

    def end_if_idle(self) -> None:
        """Close the connection unless a request is in progress."""
        if self._protocol.awaits_head and not self._is_at_work:
            self._output.end()

    # Reading

    async def _read(self) -> None:
        while not self._reader.at_eof() and not self._output.is_closing and await self._read_once():
            pass
        await self._protocol.handle(Closed())

    async def _read_once(self) -> bool:
        """Read and handle what has come; return whether more may. What was read does not stay while more is awaited."""
        try:
            data = await self._reader.read(READ_SIZE)
        except (OSError, ssl.SSLError):
            return False
        if data and self._turns.over():
            await self._take_turn(data)
            if self._output.is_closing:
                return True  # nobody is there for an answer
        if self._ending.lingers:
            self._ending.discard(data)
            return True
        if self._direct is not None and data:
            data = await self._answer_directly(self._direct, data)
            if not data:
                return True
        self._has_turn = True
        try:
            await self._protocol.handle(RawData(data))
        except h11.RemoteProtocolError as error:
            self._reject(error.error_status_hint)
            self._ending.drop_all()
            if not self._ending.lingers:
                return False
        if self._ending.lingers:
            self._ending.discard()
        elif self._protocol.awaits_body:
            self._connections.body_grew(self, self._deadlines.body(len(data)))
        elif self._protocol.has_partial_head:
            self._deadlines.head()
        elif not self._protocol.awaits_head:
            self._expect_nothing()
        return True

    async def _answer_directly(self, direct: DirectCalls, data: bytes) -> bytes:
        """Answer the requests with which ``data`` begins, as far as they are simple; return the rest."""
        while data and self._protocol.is_between_requests and not self._output.is_closing:
            found = direct.read(data, self.peer, self._scheme)
            if found is None:
                break
            request, target, size = found
            if size > len(data):
                whole = await self._await_body(data, size)
                if len(whole) < size:
                    return whole
                data = whole
                continue
            data = data[size:]
            self._is_at_work = True
            self._became_busy()
            try:
                reply, headers = await direct.answer(request, target)
                self._directly_answered += 1
                last = (
                    self._context.terminated.is_set()
                    or self._directly_answered + self._protocol.keep_alive_requests
                    >= self._config.keep_alive_max_requests
                )
                await self._write(encoded(reply, headers, direct.server_headers(self._config), last=last))
            finally:
                request.answer.release()
                self._is_at_work = False
            if last:
                self._output.end()
                return b""
            self._became_idle()
            if data and self._turns.over():  # requests that are sent in one piece take turns, too
                await self._take_turn(data)
        return data

    async def _await_body(self, data: bytes, size: int) -> bytes:
        """Return ``data`` with what follows at once, up to a request of ``size`` bytes."""
        if size > MAX_AWAITED:
            return data
        self._is_at_work = True
        try:
            for _ in range(AWAITED_PARTS):
                async with asyncio.timeout(AWAITED_FOR):
                    more = await self._reader.read(READ_SIZE)
                data += more
                if not more or len(data) >= size:
                    break
        except (TimeoutError, OSError, ssl.SSLError):
            pass
        finally:
            self._is_at_work = False
        return data

    async def _take_turn(self, data: bytes = b"") -> None:
        """Wait for a turn to handle ``data``, or the next request of what was handed over before."""
        if self._protocol.is_between_requests and data:
            self._turn_key = self._turns.key(self.peer, data)
            self._connections.idle(self)  # it waits since now, and not since its last request
        was_at_work, self._is_at_work = self._is_at_work, True
        held = self._deadlines.hold()
        try:
            await self._turns.take(self._turn_key or self.address)
        finally:
            self._deadlines.go_on(held)
            self._is_at_work = was_at_work

    def _expect_nothing(self) -> None:
        self._connections.busy(self)
        self._deadlines.nothing()

    def _became_busy(self) -> None:
        self._connections.busy(self)
        self._deadlines.request_began()

    def _became_idle(self) -> None:
        self._turn_key = ""  # the next request may be another client's, behind a proxy
        self._connections.idle(self)
        if self._output.is_closing:
            self._protocol.drop_received()  # nobody is there for further answers
        if self._protocol.has_partial_head:
            self._deadlines.head()
        else:
            limits = self._limits
            self._deadlines.within(limits.write_timeout if self._output.has_unread else limits.idle_timeout)

    def _deadline_passed(self) -> None:
        if self._ending.lingers:
            self._output.abort()
        elif self._output.has_unread:
            self.cut("write_timeout")
        elif self._protocol.awaits_body or self._protocol.has_partial_head:
            self._connections.closed("body_timeout" if self._protocol.awaits_body else "head_timeout")
            self._reject(408)
        else:
            if self._deadlines.head_has_begun:
                self._connections.closed("head_timeout")
            self._output.end()

    # Writing

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            self._ending.closed_by_protocol()
            if self._ending.lingers:
                self._connections.idle(self)
        elif isinstance(event, Updated):
            if event.idle:
                self._became_idle()
                return
            if not self._has_turn and self._turns.over():
                await self._take_turn()
            self._has_turn = False
            self._became_busy()

    async def _write(self, data: bytes) -> None:
        try:
            if not self._output.write_at_once(data):
                await self._output.write(data)
        except TimeoutError:
            self.cut("write_timeout")
            await self._protocol.handle(Closed())
        except (OSError, RuntimeError):  # the connection was lost while this waited
            await self._protocol.handle(Closed())

    def _reject(self, status: int) -> None:
        self._ending.reject(status)
        self._connections.idle(self)


def _address(writer: asyncio.StreamWriter, name: str) -> tuple[str, int] | None:
    found = writer.get_extra_info(name)
    address = parse_socket_addr(writer.get_extra_info("socket").family, found) if found else None
    return (plain_address(address[0]), address[1]) if address else None
