"""One session of a client that polls: what waits for its next poll, and what its requests bring."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from notifyx_common.errors import Unavailable
from notifyx_common.serving.answers import answer
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.socket.admission import Admission
from notifyx_gateway.socket.client import ConnectedClient
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.frames import around_notification, as_object, decode_line
from notifyx_gateway.socket.user_channel import make_handler

POLL_TIMEOUT = 10.0
"""How long a poll waits for messages, in seconds."""

TRY_AGAIN_LATER = 1013

AtEnd = Callable[[Callable[[], None]], None]


def at_end_of_answer(read: Callable[[], None]) -> None:
    """Call ``read`` when the current request is over."""
    answer().at_end(read)


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Rows as broadcasts on one channel topic: JSON texts."""

    topic: str
    objects: bool = False
    transport: str = "longpoll"

    def encode(self, rows: Sequence[Row]) -> tuple[list[bytes], int]:
        """Return one text per row."""
        prefix, suffix = around_notification(self.topic, objects=self.objects)
        texts = [b"%b%b%b" % (prefix, raw, suffix) for _, raw in rows]
        return texts, sum(map(len, texts))


class LongPollSession:
    """The transport of a client that polls."""

    transport = "longpoll"

    def __init__(self, context: SocketContext, admission: Admission, *, objects: bool = False) -> None:
        self._objects = objects
        self.closed = False
        self.close_reason = ""
        self.last_poll = asyncio.get_running_loop().time()
        self.place = admission.place
        self.answers = 0
        """Number of answers with messages; a client that follows them shows how many it has got."""
        self._follows = False
        self.posts = 0
        """Number of requests whose lines are read or wait."""
        self._turns = context.turns
        self._paused_until = 0.0
        self._max_pending = context.settings.max_pending
        self._queue: deque[bytes] = deque()
        self._pending = 0
        self._unread = 0
        self._writing: set[asyncio.Task[None]] = set()
        self._together = context.hub.pending
        self.accepted = 0
        self._changed = asyncio.Event()
        self._emptied = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._turn = 0
        self.client = ConnectedClient(self, context, make_handler, verified=admission.verified, key=admission.key)

    # ClientTransport

    def send(self, data: bytes) -> None:
        text = as_object(data) if self._objects else data
        self.deliver((text,), len(text))

    def deliver(self, payload: Iterable[bytes], size: int) -> None:
        if self.closed:
            return
        self._queue.extend(payload)
        self._pending += size
        self.accepted += size
        self._together.note(self, self.waiting_bytes())
        self._changed.set()
        if self._pending > self._max_pending:
            self._drop("the client does not poll fast enough")

    def waiting_bytes(self) -> int:
        return self._pending + self._unread

    def writable_bytes(self) -> int:
        return self._max_pending - self._pending

    async def wait_drained(self) -> None:
        while not self.closed and self._pending > self._max_pending // 4:
            self._emptied.clear()
            await self._emptied.wait()

    def close(self, code: int, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        self.close_reason = str(code)
        for event in (self._changed, self._emptied, self._reading):
            event.set()
        self.client.on_closed()

    def discard(self) -> None:
        """Drop what is queued."""
        self._queue.clear()
        self._pending = 0
        self._together.note(self, self._unread)

    def _drop(self, reason: str) -> None:
        self.discard()
        self.close(TRY_AGAIN_LATER, reason)

    def pause(self) -> None:
        self._reading.clear()

    def resume(self) -> None:
        self._reading.set()

    def pause_for(self, seconds: float) -> None:
        self._paused_until = asyncio.get_running_loop().time() + seconds

    def format(self, topic: str) -> TextFormat:
        return TextFormat(topic, self._objects)

    # Output

    @property
    def owner(self) -> str:
        return self.client.principal.id

    def give_way(self, *, at_once: bool) -> None:
        self._drop("more waits for clients that do not read than this node holds")
        for task in self._writing:
            task.cancel()

    # Requests

    async def poll(self, seen: int, at_end: AtEnd = at_end_of_answer) -> list[bytes]:
        """Return queued messages, or those that arrive within the timeout. A newer poll ends an older one.

        ``at_end`` calls what it is given once the answer has been written, or its connection is lost.

        ``seen`` is the number of answers that the client has got. If one was lost, its messages are: whoever repeats a
        poll for the client (its HTTP library, a proxy) does not tell it. The session ends, so that the client resumes.
        One that shows its first token for ever does not follow; without the first answer, no other has joined anything.
        """
        loop = asyncio.get_running_loop()
        self._follows = self._follows or seen > 0
        if self._follows and seen != self.answers:
            self._drop("an answer did not reach the client")
        self._turn += 1
        turn = self._turn
        self._changed.set()
        until = loop.time() + POLL_TIMEOUT
        while turn == self._turn and not self._queue and not self.closed and (left := until - loop.time()) > 0:
            self.last_poll = loop.time() + left
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                break
        if turn != self._turn:
            return []
        self.last_poll = loop.time()
        if self._unread + self._pending > 2 * self._max_pending:
            self._drop("the client does not read its answers")
        messages = list(self._queue)
        self._queue.clear()
        if messages:
            self.answers += 1
            self._wait_for_reader(at_end)
        self._emptied.set()
        return messages

    def _wait_for_reader(self, at_end: AtEnd) -> None:
        """Count what was queued until the answer to the current request has been written, or its connection is lost."""
        size, self._pending = self._pending, 0
        self._unread += size
        task = asyncio.current_task()
        assert task is not None
        writing = task
        self._writing.add(writing)

        def read() -> None:
            self._writing.discard(writing)
            self._unread -= size
            self._together.note(self, self.waiting_bytes())

        at_end(read)

    async def receive(self, line: bytes) -> None:
        """Handle one message. Raises :class:`BadFrame`, or :class:`Unavailable` if too many are in progress."""
        try:
            async with asyncio.timeout(POLL_TIMEOUT):
                await self._may_receive()
        except TimeoutError:
            raise Unavailable("Too many requests of this session are being worked on.") from None
        if self.closed:
            return
        wait = self.client.budget.spend(len(line))
        if wait:
            self.pause_for(wait)
        self.client.message(decode_line(line, objects=self._objects))

    async def _may_receive(self) -> None:
        await self._reading.wait()
        wait = self._paused_until - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)
            await self._reading.wait()
        elif self._turns.over():
            await asyncio.sleep(0)
