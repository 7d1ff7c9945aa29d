"""One WebSocket connection: decodes picows frames, passes the messages on, and writes bytes, all within bounds.

No input may raise into the event loop: invalid input closes this connection only, with a code after which the client
reconnects (the server never chooses 1000).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from notifyx_common.logs import get_logger
from notifyx_gateway.socket.admission import Admission
from notifyx_gateway.socket.client import INTERNAL_ERROR, ConnectedClient
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.frames import (
    BadFrame,
    SocketFormat,
    close_frame,
    decode_binary,
    decode_text,
    pong_frame,
    text_frame,
)
from notifyx_gateway.socket.user_channel import make_handler

if TYPE_CHECKING:
    from collections.abc import Callable

log = get_logger(__name__)

PROTOCOL_ERROR = 1002
TOO_BIG = 1009
TRY_AGAIN_LATER = 1013

HIGH_WATER = 256 << 10
LOW_WATER = 64 << 10


class WebSocketConnection(WSListener):
    """The picows listener of one connection, and the transport of its client."""

    __slots__ = (
        "_close_timer",
        "_context",
        "_fragments",
        "_kind",
        "_loop",
        "_on_closed",
        "_on_opened",
        "_out",
        "_pending",
        "_raw",
        "_waiting",
        "_write",
        "client",
        "closed",
        "last_frame_at",
    )

    transport = "websocket"

    def __init__(
        self,
        context: SocketContext,
        admission: Admission,
        *,
        on_opened: Callable[[WebSocketConnection], None],
        on_closed: Callable[[WebSocketConnection, str], None],
    ) -> None:
        """``on_opened`` and ``on_closed`` are called once each; ``on_closed`` gets the reason for metrics."""
        self._context = context
        self._on_opened = on_opened
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._raw: Any = None
        self._write: Any = None
        self._pending: Any = None
        self._out: list[bytes] | None = None
        self._fragments: list[bytes] | None = None
        self._kind = WSMsgType.TEXT
        self._waiting: asyncio.Future[None] | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self.closed = True
        self.last_frame_at = self._loop.time()
        self.client = ConnectedClient(self, context, make_handler, verified=admission.verified, key=admission.key)

    # What picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        # The request holds the token and lives as long as the connection, but is not needed any more.
        transport.request.headers.clear()
        transport.request.path = b""
        raw = transport.underlying_transport
        raw.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self._raw = raw
        self._write = raw.write
        self._pending = raw.get_write_buffer_size
        self.closed = False
        self._on_opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.closed:
            if frame.msg_type == WSMsgType.CLOSE:
                self._close_transport()
            return
        self.last_frame_at = self._loop.time()
        try:
            self._handle_frame(frame)
        except BadFrame as error:
            self.close(error.code, str(error))
        except Exception as error:
            log.error("connection_failed", exc_info=error)
            self.close(INTERNAL_ERROR, "internal error")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._finish("client")
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    def pause_writing(self) -> None:
        """Above the high-water mark; :meth:`wait_drained` waits, nothing else changes."""

    def resume_writing(self) -> None:
        """Below the low-water mark again."""
        self._notify_drained()

    # ClientTransport

    def send(self, data: bytes) -> None:
        """Queue a text message; the messages of one tick are sent in one write."""
        if self.closed:
            return
        if self._out is None:
            self._out = []
            self._loop.call_soon(self._flush)
        self._out.append(text_frame(data))

    def deliver(self, payload: bytes, size: int) -> None:
        """Write framed rows. Close the connection of a client that does not read; it resumes later."""
        if self.closed:
            return
        if self._out is not None:
            self._flush()
        self._write(payload)
        if self._pending() > self._context.settings.max_pending:
            self._overflow()

    def writable_bytes(self) -> int:
        return int(self._context.settings.max_pending - self._pending())

    async def wait_drained(self) -> None:
        while not self.closed and self._pending() > LOW_WATER:
            if self._waiting is None:
                self._waiting = self._loop.create_future()
            await asyncio.shield(self._waiting)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the channels; close the transport on the client's answer or after the grace."""
        if self.closed:
            return
        self._flush()
        self._write(close_frame(code, reason))
        self._finish(str(code))
        self._close_timer = self._loop.call_later(self._context.settings.close_grace, self._abort)

    def pause(self) -> None:
        self._raw.pause_reading()

    def resume(self) -> None:
        if not self.closed and not self._raw.is_closing():
            self._raw.resume_reading()

    def format(self, topic: str) -> SocketFormat:
        return SocketFormat(topic)

    # Inside

    def _handle_frame(self, frame: WSFrame) -> None:
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise BadFrame("no extension was agreed on", PROTOCOL_ERROR)
        kind = frame.msg_type
        if kind in (WSMsgType.TEXT, WSMsgType.BINARY):
            if self._fragments is not None:
                raise BadFrame("a message began inside another", PROTOCOL_ERROR)
            data = frame.get_payload_as_bytes()
            if frame.fin:
                self._message(kind, data)
            else:
                self._kind = kind
                self._fragments = [data]
        elif kind == WSMsgType.CONTINUATION:
            self._append_fragment(frame)
        elif kind == WSMsgType.PING:
            self._write(pong_frame(frame.get_payload_as_bytes()))
            if self._pending() > self._context.settings.max_pending:
                self._overflow()
        elif kind == WSMsgType.CLOSE:
            self._reply_close(frame)

    def _append_fragment(self, frame: WSFrame) -> None:
        if self._fragments is None:
            raise BadFrame("a continuation of nothing", PROTOCOL_ERROR)
        self._fragments.append(frame.get_payload_as_bytes())
        if sum(map(len, self._fragments)) > self._context.settings.max_frame or len(self._fragments) > 1024:
            raise BadFrame("the message is too large", TOO_BIG)
        if frame.fin:
            data, self._fragments = b"".join(self._fragments), None
            self._message(self._kind, data)

    def _message(self, kind: WSMsgType, data: bytes) -> None:
        self.client.message(decode_text(data) if kind == WSMsgType.TEXT else decode_binary(data))

    def _reply_close(self, frame: WSFrame) -> None:
        self._flush()
        # The closing handshake returns the client's own code (or none), even 1000.
        code = frame.get_payload_as_bytes()[:2]
        self._write(bytes((0x88, len(code))) + code)
        self._finish("client")
        self._close_transport()

    def _flush(self) -> None:
        if self._out is None or self.closed:
            return
        out, self._out = self._out, None
        self._write(out[0] if len(out) == 1 else b"".join(out))
        if self._pending() > self._context.settings.max_pending:
            self._overflow()

    def _overflow(self) -> None:
        self.close(TRY_AGAIN_LATER, "the client does not read fast enough")

    def _finish(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        self._out = self._fragments = None
        self._notify_drained()
        self._on_closed(self, reason)
        self.client.on_closed()

    def _notify_drained(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _close_transport(self) -> None:
        self._raw.close()

    def _abort(self) -> None:
        self._close_timer = None
        self._raw.abort()
