"""One WebSocket connection: takes frames, passes the messages on, and writes bytes, all within bounds.

No input may raise into the event loop: invalid input closes this connection only, with a code after which the client
reconnects (the server never chooses 1000). What came before it is handled and answered first, within a deadline; the
connection is not read meanwhile.

Nobody is rejected for sending much. While a cause in :data:`CAUSES` holds, the connection is not read, so TCP stops the
sender; what was read already is held, in order. The bound of what is held is what is read at once.

Every close has a deadline, after which the transport is aborted: it ends in :meth:`WebSocketConnection.gone`, whatever
the client does.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from notifyx_common.logs import get_logger
from notifyx_gateway.socket.admission import Admission
from notifyx_gateway.socket.client import INTERNAL_ERROR, ConnectedClient
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.frames import (
    BadFrame,
    SocketFormat,
    as_object,
    close_frame,
    decode_binary,
    decode_object,
    decode_text,
    pong_frame,
    text_frame,
)
from notifyx_gateway.socket.parser import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Frame,
    check_close,
)
from notifyx_gateway.socket.user_channel import make_handler

if TYPE_CHECKING:
    from collections.abc import Callable

log = get_logger(__name__)

TRY_AGAIN_LATER = 1013

HIGH_WATER = 256 << 10
"""Bytes that may wait to be written while the connection is read."""

LOW_WATER = 64 << 10

LARGE = 64 << 10
"""Bytes; a smaller write is counted as waiting only if something waits already: the event loop may write it later."""

TURN = 16
"""Messages of one turn."""

MAX_LATE = 1000
"""Frames, or reads, after a close frame was sent, while its answer is awaited."""

MAX_FRAGMENTS = 1024

OVER_BUDGET, TOO_BUSY, NOT_WRITTEN, ENDING = 1, 2, 4, 8
CAUSES = {OVER_BUDGET: "budget", TOO_BUSY: "in_flight", NOT_WRITTEN: "unwritten"}
"""Why a connection is not read, for metrics; one that ends is not read any more."""

NONE = -1
"""In the place of a descriptor."""


class WebSocketConnection:
    """One connection, and the transport of its client."""

    __slots__ = (
        "_causes",
        "_close_timer",
        "_context",
        "_descriptor",
        "_failure",
        "_fragment_count",
        "_fragments",
        "_free",
        "_held",
        "_kind",
        "_late",
        "_loop",
        "_note",
        "_on_closed",
        "_on_gone",
        "_on_opened",
        "_out",
        "_pending",
        "_place",
        "_progress",
        "_progress_at",
        "_raw",
        "_turns",
        "_waiting",
        "_write",
        "accepted",
        "client",
        "closed",
        "last_frame_at",
        "objects",
    )

    transport = "websocket"

    def __init__(
        self,
        context: SocketContext,
        admission: Admission,
        *,
        on_opened: Callable[[WebSocketConnection], None],
        on_closed: Callable[[WebSocketConnection, str], None],
        on_gone: Callable[[WebSocketConnection], None],
    ) -> None:
        """Each callback is called once: ``on_closed`` with the reason for metrics, ``on_gone`` when the descriptor is
        closed."""
        self._context = context
        self._place = admission.place
        self._on_opened = on_opened
        self._on_closed = on_closed
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._turns = context.turns
        self._raw: Any = None
        self._write: Any = None
        self._pending: Any = None
        self._descriptor = NONE
        self._free = NONE
        """The descriptor while nothing waits to be written: then rows are written past the transport, which costs more
        than the system call has to. Unset before the descriptor is closed, whose number the next connection gets."""
        self._out: list[bytes] | None = None
        self._fragments: bytearray | None = None
        self._fragment_count = 0
        self._kind = TEXT
        self._held: deque[Frame] | None = None
        self._failure: BadFrame | None = None
        """What came after the frames that are held, and is no frame."""
        self._causes = 0
        self._late = 0
        self._waiting: asyncio.Future[None] | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._note = context.hub.pending.note
        self.accepted = self._progress = 0
        self._progress_at = self.last_frame_at = self._loop.time()
        self.closed = True
        self.objects = False
        """Whether the client speaks serializer 1.0.0; set before the connection is answered."""
        self.client = ConnectedClient(self, context, make_handler, verified=admission.verified, key=admission.key)

    # What the reader calls

    def opened(self, raw: Any) -> None:
        """The upgrade request was accepted over the transport ``raw``."""
        raw.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self._raw = raw
        self._write = raw.write
        self._pending = raw.get_write_buffer_size
        self._descriptor = raw.get_extra_info("socket").fileno()
        self.closed = False
        self._on_opened(self)

    def receive(self, frame: Frame) -> None:
        """Handle a frame, or hold it."""
        if self._held is None:
            if self.closed or not (self.client.must_wait() or self._turns.over()):
                self._receive(frame)
                if self._causes and not self.closed and self._held is None:
                    self._hold()
                return
            self._hold().append(frame)
        else:
            self._held.append(frame)

    def fail(self, error: BadFrame) -> None:
        """What follows on the connection is no frame."""
        if self._held is None:
            self.end(error.code, str(error))
        else:
            self._failure = error

    def pause_writing(self) -> None:
        """Above the high-water mark."""
        self._stop(NOT_WRITTEN)

    def resume_writing(self) -> None:
        """Below the low-water mark again."""
        self._notify_drained()
        self._go_on(NOT_WRITTEN)

    # What the listener calls

    def ended(self) -> None:
        """The client sends nothing more; the transport closes when it has written what waits."""
        self._finish("client")

    def gone(self) -> None:
        """The descriptor is closed."""
        self._finish("client")
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self._place.release()
        self._context.hub.pending.remove(self)
        self._on_gone(self)

    @property
    def read(self) -> bool:
        """Whether the connection is read at present: the silence of one that is not says nothing."""
        return self._held is None

    def check(self, now: float) -> None:
        """Disconnect a client that reads nothing of what waits for it; called now and then, at loop time ``now``."""
        if self.closed:
            return
        pending = self._pending()
        self._note(self, pending)
        progress = self.accepted - pending
        if not pending or progress != self._progress:
            self._progress, self._progress_at = progress, now
        elif now - self._progress_at > self._context.settings.write_timeout:
            self._finish("not_reading")
            self.abort("not_reading")

    def abort(self, cause: str) -> None:
        """Close the descriptor at once; what is not written yet is lost."""
        if self._raw is not None:
            self._context.metrics.counter("notifyx_connections_aborted_total").labels(cause).inc()
            self._raw.abort()

    # Output

    @property
    def owner(self) -> str:
        return self.client.principal.id

    def give_way(self, *, at_once: bool) -> None:
        self.close(TRY_AGAIN_LATER, "more waits for clients that do not read than this node holds")
        if at_once:
            self.abort("not_reading")

    # ClientTransport

    def send(self, data: bytes) -> None:
        """Queue a text message; the messages of one tick are sent in one write."""
        if self.closed:
            return
        if self._out is None:
            self._out = []
            self._free = NONE
            self._loop.call_soon(self._flush)
        self._out.append(text_frame(as_object(data) if self.objects else data))

    def deliver(self, payload: bytes, size: int) -> None:
        """Write framed rows. Close the connection of a client that does not read; it resumes later."""
        if self._free != NONE:
            try:
                written = os.write(self._free, payload)
            except OSError:  # the transport meets the same error, and waits or disconnects
                written = 0
            if written != size:
                self._free = NONE
                self._put(memoryview(payload)[written:])
                self._bound()
            return
        self._flush()
        if not self.closed:
            self._put(payload)

    def waiting_bytes(self) -> int:
        return int(self._pending())

    def writable_bytes(self) -> int:
        return int(self._context.settings.max_pending - self._pending())

    async def wait_drained(self) -> None:
        # Only a transport that has paused the writing reports that it is drained.
        while not self.closed and self._causes & NOT_WRITTEN:
            if self._waiting is None:
                self._waiting = self._loop.create_future()
            await asyncio.shield(self._waiting)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the channels; close the transport on the client's answer or after the grace."""
        if self.closed:
            return
        self._flush()
        if not self.closed:  # flushing closes a connection that does not read
            self._write(close_frame(code, reason))
            self._finish(str(code))

    def end(self, code: int, reason: str) -> None:
        if self.closed or self._causes & ENDING:
            return
        self._causes |= ENDING
        self.client.close_when_answered(code, reason)
        if not self.closed and self._held is None:
            self._hold()

    def pause(self) -> None:
        self._stop(TOO_BUSY)

    def resume(self) -> None:
        self._go_on(TOO_BUSY)

    def pause_for(self, seconds: float) -> None:
        if not self._causes & OVER_BUDGET:
            self._stop(OVER_BUDGET)
            self._loop.call_later(seconds, self._go_on, OVER_BUDGET)

    def format(self, topic: str) -> SocketFormat:
        return SocketFormat(topic, self.objects)

    # Pacing

    def take_turn(self) -> bool:
        """Work on held frames; return whether more are left that may be worked on now."""
        for number in range(TURN):
            if self.closed or self._held is None or self._causes:
                return False
            if number and self._turns.over():
                return True
            if not self._held and self._failure is not None:
                self.end(self._failure.code, str(self._failure))
                return False
            if not self._held:
                self._held = None
                if not self._raw.is_closing():
                    self._raw.resume_reading()
                return False
            if self.client.must_wait():
                return False
            self._receive(self._held.popleft())
        return True

    def _hold(self) -> deque[Frame]:
        """Stop reading; hold the frames that were read already."""
        self._held = held = deque[Frame]()
        if not self._raw.is_closing():
            self._raw.pause_reading()
        if not self._causes:
            self._turns.wait(self)
        return held

    def _stop(self, cause: int) -> None:
        if self.closed or self._causes & cause:
            return
        self._causes |= cause
        self._context.metrics.counter("notifyx_reading_pauses_total").labels(CAUSES[cause]).inc()

    def _go_on(self, cause: int) -> None:
        self._causes &= ~cause
        if not self._causes and self._held is not None and not self.closed:
            self._turns.wait(self)

    # Frames

    def _receive(self, frame: Frame) -> None:
        if self.closed:
            self.receive_late(frame)
            return
        self.last_frame_at = self._loop.time()
        try:
            self._handle(frame)
            wait = self.client.budget.spend(len(frame.payload))
            if wait:
                self.pause_for(wait)
        except BadFrame as error:
            self.end(error.code, str(error))
        except Exception as error:
            log.error("connection_failed", exc_info=error)
            self.close(INTERNAL_ERROR, "internal error")

    def receive_late(self, frame: Frame | None) -> None:
        """Wait for the answer to the close frame, but not through whatever else the client has to send."""
        self._late += 1
        if frame is not None and frame.opcode == CLOSE:
            self._raw.close()
        elif self._late == MAX_LATE and not self._raw.is_closing():
            self._raw.pause_reading()

    def _handle(self, frame: Frame) -> None:
        opcode, final, reserved, data = frame
        if reserved:
            raise BadFrame("no extension was agreed on", PROTOCOL_ERROR)
        if opcode in (TEXT, BINARY):
            if self._fragments is not None:
                raise BadFrame("a message began inside another", PROTOCOL_ERROR)
            if final:
                self._message(opcode, data)
            else:
                self._kind = opcode
                self._fragments = bytearray(data)
                self._fragment_count = 1
        elif opcode == CONTINUATION:
            self._append_fragment(data, final)
        elif opcode == PING:
            self._put(pong_frame(data))
            self.client.spend_control()
        elif opcode == CLOSE:
            check_close(data)
            self._reply_close(data[:2])

    def _append_fragment(self, data: bytes, final: bool) -> None:
        if self._fragments is None:
            raise BadFrame("a continuation of nothing", PROTOCOL_ERROR)
        self._fragments += data
        self._fragment_count += 1
        if len(self._fragments) > self._context.settings.max_frame or self._fragment_count > MAX_FRAGMENTS:
            raise BadFrame("the message is too large", TOO_BIG)
        if final:
            message, self._fragments = bytes(self._fragments), None
            self._message(self._kind, message)

    def _message(self, opcode: int, data: bytes) -> None:
        if self.objects:
            self.client.message(decode_object(data))
        else:
            self.client.message(decode_text(data) if opcode == TEXT else decode_binary(data))

    def _reply_close(self, code: bytes) -> None:
        self._flush()
        if not self.closed:
            # The closing handshake returns the client's own code (or none), even 1000.
            self._write(bytes((0x88, len(code))) + code)
            self._finish("client")
        self._raw.close()

    # Writing and closing

    def _flush(self) -> None:
        if self._out is None or self.closed:
            return
        out, self._out = self._out, None
        self._put(out[0] if len(out) == 1 else b"".join(out))

    def _put(self, data: bytes | memoryview) -> None:
        self._free = NONE
        waited = self._pending()
        self._write(data)
        self.accepted += len(data)
        if waited or len(data) > LARGE:
            self._bound()
        if not self.closed and self._out is None and not self._pending():
            self._free = self._descriptor

    def _bound(self) -> None:
        """Count what waits; close the connection if it is too much."""
        pending = self._pending()
        self._note(self, pending)
        if pending > self._context.settings.max_pending:
            self.close(TRY_AGAIN_LATER, "the client does not read fast enough")

    def _finish(self, reason: str) -> None:
        """End the channels; from now on the connection has the grace to close its descriptor."""
        if self.closed:
            return
        self.closed = True
        held, self._held = self._held, None
        self._out = self._fragments = None
        self._descriptor = self._free = NONE
        self._turns.leave(self)
        if held is not None and not self._raw.is_closing():
            if any(frame.opcode == CLOSE for frame in held):
                self._raw.close()
            else:
                self._raw.resume_reading()  # the answer to the close frame
        self._notify_drained()
        self._close_timer = self._loop.call_later(self._context.settings.close_grace, self.abort, "not_closing")
        self._on_closed(self, reason)
        self.client.on_closed()

    def _notify_drained(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
