"""How a connection reads and writes HTTP/1.1: Hypercorn's protocol on h11, with what this platform adds to both."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import h11
from hypercorn.events import Event
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol

from notifyx_common.serving.h11_strict import StrictConnection


class Http1(H11Protocol):
    """HTTP/1.1 (and 1.0). A request in another version is refused; one to change to HTTP/2 is answered in HTTP/1.1."""

    connection: Any  # h11's, or Hypercorn's stand-in after the upgrade to a WebSocket, which has the same attributes

    def __init__(self, *arguments: Any, websockets: bool) -> None:
        """``websockets``: whether the app has any; else a request to change to one is answered like any other."""
        super().__init__(*arguments)
        self._websockets = websockets
        self.connection = StrictConnection(max_incomplete_event_size=self.config.h11_max_incomplete_size)

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("This port speaks HTTP/1.1.", error_status_hint=505)

    async def _create_stream(self, request: h11.Request) -> None:
        if not self._websockets:
            # RFC 9110, section 7.8: a server may ignore the request.
            headers = [header for header in request.headers.raw_items() if header[0].lower() != b"upgrade"]
            request = h11.Request(
                method=request.method, target=request.target, headers=headers, http_version=request.http_version
            )
        await super()._create_stream(request)

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and self.awaits_body:
            # The answer comes before the whole request: the client is to read it, and not to use the connection again.
            headers = [header for header in event.headers if header[0].lower() != b"connection"]
            event = replace(event, headers=[*headers, (b"connection", b"close")])
        await super().stream_send(event)

    async def _maybe_recycle(self) -> None:
        await super()._maybe_recycle()
        if self.connection.their_state is h11.DONE:
            # It was the last request, as the server stops: who reads would wait for the turn of those that follow it.
            self.drop_received()
            await self.can_read.set()

    def discard(self, data: bytes = b"") -> bool:
        """Drop what is left of a body, of which ``data`` was received; return whether it has ended."""
        try:
            if data:
                self.connection.receive_data(data)
            while isinstance(event := self.connection.next_event(), h11.Data):
                pass
        except h11.RemoteProtocolError:
            return True
        return event is not h11.NEED_DATA

    def drop_received(self) -> None:
        """Drop what was received and is not read: after a broken request nothing of it is."""
        if isinstance(self.connection, StrictConnection):
            self.connection.drop_received()

    def release(self) -> None:
        """Let go of the stream and of who writes; what they still send goes nowhere.

        Else each closed connection would be a cycle, which keeps what its client sent until the collector comes:
        after millions of objects (:func:`~notifyx_common.serving.lifecycle.run`).
        """
        self.stream, self.send = None, _ignore

    @property
    def awaits_head(self) -> bool:
        """Whether the client has to send a request, or the rest of its head."""
        return self.connection.their_state is h11.IDLE

    @property
    def awaits_body(self) -> bool:
        """Whether the client has to send the rest of a body."""
        return self.connection.their_state is h11.SEND_BODY

    @property
    def is_between_requests(self) -> bool:
        """Whether nothing of a request is there, and the last one is answered."""
        connection = self.connection
        return connection.their_state is h11.IDLE and connection.our_state is h11.IDLE and not self.has_partial_head

    @property
    def has_partial_head(self) -> bool:
        """Whether the head of the next request has begun."""
        return self.awaits_head and bool(self.connection.trailing_data[0])

    @property
    def is_broken(self) -> bool:
        """Whether what the client sent is no HTTP."""
        return self.connection.their_state is h11.ERROR

    def rejection(self, status: int) -> bytes:
        """Return an answer without a body, after which the connection ends; empty if another answer has begun."""
        if self.connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        response = h11.Response(status_code=status, headers=list(chain(headers, self.config.response_headers("h11"))))
        return b"".join(self.connection.send(event) for event in (response, h11.EndOfMessage()))


async def _ignore(event: Event) -> None:
    """Stand for the sender of a connection that is closed."""
