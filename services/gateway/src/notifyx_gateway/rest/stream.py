"""``text/event-stream``: one topic over plain HTTP, resumable by ``Last-Event-ID``, which is the ``seq``.

A stream is a sink of the hub: rows are encoded once per tick for all streams. What a client has not read is bounded;
beyond the bound the stream ends, and the client resumes from its last seq. :class:`EventStream` is the queue between
the hub and one response.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from notifyx_common.errors import NotifyxError, TooManyRequests
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.pending import PendingOutput

KEEP_ALIVE = b": keep-alive\n\n"

MAX_JOINED = 64 << 10
"""Bytes that several queued payloads may have to be written as one."""


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """Rows as server-sent events, each with its seq as its id."""

    transport: str = "stream"

    def encode(self, rows: Sequence[Row]) -> tuple[bytes, int]:
        """Return all rows as one payload. A notification's JSON contains no line break."""
        payload = b"".join(b"id: %d\ndata: %b\n\n" % row for row in rows)
        return payload, len(payload)


FORMAT = StreamFormat()


def encode_event(name: str, data: Any) -> bytes:
    """Encode a named event; it is no notification and has no id."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


class EventStream:
    """The sink of one response, with the queue of what is still to be written."""

    transport = "stream"

    def __init__(
        self,
        principal: Principal,
        topic: str,
        *,
        max_pending: int,
        together: PendingOutput,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """``together`` counts what waits for all clients."""
        self._principal = principal
        self._topic = topic
        self._max_pending = max_pending
        self._together = together
        self._on_end = on_end
        self._queue: deque[bytes] = deque()
        self._pending = 0
        self.accepted = 0
        self._closed = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    # What the hub calls

    @property
    def format(self) -> StreamFormat:
        return FORMAT

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def store_topic(self) -> str:
        return self._topic

    @property
    def closed(self) -> bool:
        return self._closed

    def send(self, payload: bytes, size: int) -> None:
        if self._closed:
            return
        if self._pending + size > self._max_pending:
            self.failed(TooManyRequests("This stream was not read fast enough; resume it with Last-Event-ID."))
            return
        self._enqueue(payload)

    def waiting_bytes(self) -> int:
        return self._pending

    def writable_bytes(self) -> int:
        return 0 if self._closed else max(0, self._max_pending - self._pending)

    async def wait_drained(self) -> None:
        while not self._closed and self._pending > self._max_pending // 4:
            self._emptied.clear()
            await self._emptied.wait()

    def acked(self, event: dict[str, Any]) -> None:
        position = {name: event[name] for name in ("up_to", "seqs", "unread")}
        others = {"expired": event.get("expired", 0), "revision": event.get("revision", 0)}
        self.send_event("acked", {**position, **others})

    def missed(self, count: int, up_to: int) -> None:
        self.send_event("missing", {"missing": count, "up_to": up_to})

    def sent(self, to: str | None) -> None:
        """A stream has one topic, and no threads."""

    def account_changed(self) -> None:
        """A stream is of one topic; pages that show an account have a socket."""

    def changed(self, version: str) -> None:
        self.send_event("topic_changed", {"topic": self._topic, "version": version})

    def deleted(self) -> None:
        self.end("topic_deleted", {"topic": self._topic})

    def failed(self, error: NotifyxError) -> None:
        self.end("error", error.to_reply())

    # Output

    @property
    def owner(self) -> str:
        return self._principal.id

    def give_way(self, *, at_once: bool) -> None:
        self.failed(TooManyRequests("This stream was not read fast enough; resume it with Last-Event-ID."))
        if at_once:
            self.close()

    # What the response calls

    def send_event(self, name: str, data: Any) -> None:
        """Queue an event that is not a notification."""
        frame = encode_event(name, data)
        self.send(frame, len(frame))

    def end(self, name: str, data: Any) -> None:
        """Queue a last event; the stream ends after it."""
        if not self._closed:
            self._closed = True
            self._enqueue(encode_event(name, data))
            self._emptied.set()
            if self._on_end is not None:
                self._on_end()

    def close(self) -> None:
        """Close the stream after the client has disconnected, and drop what is queued."""
        self._closed = True
        self._pending -= sum(map(len, self._queue))
        self._queue.clear()
        self._filled.set()
        self._emptied.set()

    async def next_chunk(self, keep_alive: float) -> bytes | None:
        """Return what to write next: queued bytes, a keep-alive after ``keep_alive`` seconds, ``None`` at the end."""
        if not self._queue:
            if self._closed:
                return None
            self._filled.clear()
            try:
                async with asyncio.timeout(keep_alive):
                    await self._filled.wait()
            except TimeoutError:
                return KEEP_ALIVE
            if not self._queue:
                return None
        # What several streams queue is one object: it is copied only into chunks that are small.
        parts = [self._queue.popleft()]
        size = len(parts[0])
        while self._queue and size + len(self._queue[0]) <= MAX_JOINED:
            parts.append(self._queue.popleft())
            size += len(parts[-1])
        return b"".join(parts)

    def on_written(self, payload: bytes) -> None:
        """Record that ``payload`` was written to the client."""
        self._pending = max(0, self._pending - len(payload))
        self._together.note(self, self._pending)
        self._emptied.set()

    def _enqueue(self, payload: bytes) -> None:
        self._queue.append(payload)
        self._pending += len(payload)
        self.accepted += len(payload)
        self._together.note(self, self._pending)
        self._filled.set()
