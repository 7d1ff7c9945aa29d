"""One session of a client that polls: what waits for its next poll, and what its requests bring."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from notifyx_common.errors import InvalidRequest, Unavailable
from notifyx_common.serving.answers import answer
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.socket.admission import Admission
from notifyx_gateway.socket.client import ConnectedClient
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.frames import BadFrame, Message, around_notification, as_object, decode_line
from notifyx_gateway.socket.longpoll_answers import Answered, Answers, Choice
from notifyx_gateway.socket.longpoll_posts import Post, Posts
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
        self.ending = False
        self.last_poll = asyncio.get_running_loop().time()
        self.place = admission.place
        self._answers = Answers()
        self._recent_posts = Posts()
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
        self._note_waiting()
        self._changed.set()
        if self._pending > self._max_pending:
            self._drop("the client does not poll fast enough")

    def waiting_bytes(self) -> int:
        return self._pending + self._unread + self._answers.size

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

    def end(self, code: int, reason: str) -> None:
        if not (self.closed or self.ending):
            self.ending = True
            self.client.close_when_answered(code, reason)

    def discard(self) -> None:
        """Drop what is queued, and what would be repeated."""
        self._queue.clear()
        self._pending = 0
        self._answers.discard()
        self._note_waiting()

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

    async def poll(self, seen: int, at_end: AtEnd = at_end_of_answer) -> Answered:
        """Return queued messages, or those that arrive within the timeout, or the last answer again.

        ``seen`` is the number in the token that the client shows; :mod:`notifyx_gateway.socket.longpoll_answers` says
        what follows from it. If an answer was lost that cannot be repeated, the session ends: the client then resumes.
        A newer poll ends an older one. ``at_end`` calls what it is given once the answer has been written, or its
        connection is lost.
        """
        choice = self._answers.shown(seen)
        self._note_waiting()
        if choice is Choice.LOST:
            self._drop("an answer did not reach the client")
        self._turn += 1
        turn = self._turn
        self._changed.set()
        if choice is not Choice.AGAIN:
            await self._wait_for_messages(turn)
        if turn != self._turn:
            return Answered(seen)
        self.last_poll = asyncio.get_running_loop().time()
        if self._unread + self._pending > 2 * self._max_pending:
            self._drop("the client does not read its answers")
        found = self._answers.last if choice is Choice.AGAIN else self._next_answer(seen)
        if found.messages:
            self._wait_for_reader(at_end, sum(map(len, found.messages)))
        return found

    async def _wait_for_messages(self, turn: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + POLL_TIMEOUT
        while turn == self._turn and not self._queue and not self.closed and (left := until - loop.time()) > 0:
            self.last_poll = loop.time() + left
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return

    def _next_answer(self, seen: int) -> Answered:
        if not self._queue:
            return Answered(seen)
        found = self._answers.add(tuple(self._queue), self._pending)
        self._queue.clear()
        self._pending = 0
        self._emptied.set()
        return found

    def _wait_for_reader(self, at_end: AtEnd, size: int) -> None:
        """Count ``size`` bytes until the answer to the current request has been written, or its connection is lost."""
        self._unread += size
        self._note_waiting()
        task = asyncio.current_task()
        assert task is not None
        writing = task
        self._writing.add(writing)

        def read() -> None:
            self._writing.discard(writing)
            self._unread -= size
            self._note_waiting()

        at_end(read)

    def _note_waiting(self) -> None:
        self._together.note(self, self.waiting_bytes())

    async def push(self, seen: int, body: bytes, lines: Sequence[bytes]) -> None:
        """Handle the ``lines`` of ``body``, each once, also if the request is repeated.

        Raises :class:`InvalidRequest` at the end if one of them is no message, and :class:`Unavailable` before the
        first that would be too many in progress.
        """
        post = Post(b"") if self._answers.one_token else self._recent_posts.find(seen, body)
        async with post.turn:
            while post.handled < len(lines):
                try:
                    message = await self.receive(lines[post.handled])
                except BadFrame as error:
                    post.rejected.append((post.handled + 1, str(error)))
                    self.client.spend_control()
                else:
                    if message is not None and message.ref is None:
                        self._recent_posts.remove(post)
                post.handled += 1
        if post.rejected:
            number, reason = post.rejected[0]
            count = f"{len(post.rejected)} of {len(lines)} lines"
            raise InvalidRequest(f"Of no effect, as they are no messages: {count}. Line {number}: {reason}.")

    async def receive(self, line: bytes) -> Message | None:
        """Handle one message, and return it; ``None`` once the session is closed or ends.

        Raises :class:`BadFrame`, or :class:`Unavailable` if too many are in progress.
        """
        try:
            async with asyncio.timeout(POLL_TIMEOUT):
                await self._may_receive()
        except TimeoutError:
            raise Unavailable("Too many requests of this session are being worked on.") from None
        if self.closed or self.ending:
            return None
        wait = self.client.budget.spend(len(line))
        if wait:
            self.pause_for(wait)
        message = decode_line(line, objects=self._objects)
        self.client.message(message)
        return message

    async def _may_receive(self) -> None:
        await self._reading.wait()
        wait = self._paused_until - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)
            await self._reading.wait()
        elif self._turns.over():
            await asyncio.sleep(0)
