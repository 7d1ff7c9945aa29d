"""``/socket/longpoll``: the same channels over plain HTTP, for networks that block WebSockets.

The HTTP status is always 200; the effective one is in the JSON. A session lives on the node that opened it. Other
nodes forward its requests to that node, or answer 410 if that is gone: then the client opens a new session, joins
again and so resumes. What is queued for the next poll is bounded.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
from quart import Blueprint, Response, request

from notifyx_common.background import every
from notifyx_common.errors import NotifyxError, TooLarge, Unavailable
from notifyx_common.limiting.addresses import capped_address
from notifyx_common.logs import get_logger
from notifyx_common.serving.answers import answer
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.socket.admission import Admission
from notifyx_gateway.socket.client import INTERNAL_ERROR, ConnectedClient
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.frames import (
    BadFrame,
    around_notification,
    as_object,
    decode_binary,
    decode_object,
    decode_text,
)
from notifyx_gateway.socket.longpoll_peers import Peers
from notifyx_gateway.socket.upgrade import Rejection, reject_origin, reject_version, speaks_objects
from notifyx_gateway.socket.user_channel import make_handler
from notifyx_gateway.upstream.credential_state import Affects

log = get_logger(__name__)

POLL_TIMEOUT = 10.0
"""How long a poll waits for messages, in seconds."""

SESSION_IDLE_TIMEOUT = 15.0
"""How long a session lives without a poll, in seconds."""

TRY_AGAIN_LATER = 1013
MAX_LINES = 100
MAX_POSTS = 4
"""Maximum number of a session's requests whose lines wait; the client sends one at a time."""

ALLOWED_HEADERS = "Content-Type, X-Phoenix-AuthToken, X-Phoenix-Longpoll-Token"


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
        self.posts = 0
        """Number of requests whose lines are read or wait."""
        self._turns = context.turns
        self._paused_until = 0.0
        self._max_pending = context.settings.max_pending
        self._queue: deque[bytes] = deque()
        self._pending = 0
        self._unread = 0
        self._answers: set[asyncio.Task[None]] = set()
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
        for task in self._answers:
            task.cancel()

    # Requests

    async def poll(self) -> list[bytes]:
        """Return queued messages, or those that arrive within the timeout. A newer poll ends an older one."""
        loop = asyncio.get_running_loop()
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
            self._wait_for_reader()
        self._emptied.set()
        return messages

    def _wait_for_reader(self) -> None:
        """Count what was queued until the answer to the current request has been written, or its connection is lost."""
        size, self._pending = self._pending, 0
        self._unread += size
        task = asyncio.current_task()
        assert task is not None
        writing = task
        self._answers.add(writing)

        def read() -> None:
            self._answers.discard(writing)
            self._unread -= size
            self._together.note(self, self.waiting_bytes())

        answer().at_end(read)

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
        if self._objects:
            self.client.message(decode_object(line))
            return
        if line.startswith(b"["):
            self.client.message(decode_text(line))
            return
        try:
            data = base64.b64decode(line, validate=True)
        except binascii.Error:
            raise BadFrame("a line is neither a JSON array nor base64") from None
        self.client.message(decode_binary(data))

    async def _may_receive(self) -> None:
        await self._reading.wait()
        wait = self._paused_until - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)
            await self._reading.wait()
        elif self._turns.over():
            await asyncio.sleep(0)


class LongPoll:
    """All long-poll sessions of this node; serves while entered."""

    def __init__(self, context: SocketContext, peers: Peers | None = None) -> None:
        self._context = context
        self._peers = peers
        self._sessions: dict[str, LongPollSession] = {}
        self._tasks = context.background.tasks()
        self._draining = False
        self._open = context.metrics.gauge("notifyx_connections").labels("longpoll")
        self._disconnects = context.metrics.counter("notifyx_disconnects_total")

    async def __aenter__(self) -> Self:
        checks = every(self._context.settings.idle_check_interval, self._end_idle, wait_first=True)
        self._tasks.endless("long poll sweep", checks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clients = [session.client for session in self._sessions.values()]
        self.drain()
        await self._tasks.close()
        await asyncio.gather(*(client.aclose() for client in clients))

    @property
    def count(self) -> int:
        """Number of open sessions."""
        return len(self._sessions)

    def drain(self) -> None:
        """End every session; its client opens another elsewhere."""
        self._draining = True
        for token in list(self._sessions):
            self._end(token, "1012")

    def credentials_changed(self, affects: Affects) -> None:
        """End the sessions whose credential has ended."""
        for token, session in list(self._sessions.items()):
            if affects(session.client.principal):
                session.client.credential_changed()
                if session.closed:
                    self._end(token, session.close_reason)

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        routes = Blueprint("longpoll", __name__)

        @routes.get("/socket/longpoll")
        async def poll() -> Response:
            token, session = self._session()
            if session is None:
                return await self._forwarded(token) or await self._open_session()
            messages = await session.poll()
            if session.closed and not messages:
                self._end(token, session.close_reason)
                return _answer(410)
            return _answer(200 if messages else 204, token=token, messages=[text.decode() for text in messages])

        @routes.post("/socket/longpoll")
        async def push() -> Response:
            token, session = self._session()
            if session is None or session.closed:
                return await self._forwarded(token) or _answer(410)
            if session.posts >= MAX_POSTS:
                session.close(TRY_AGAIN_LATER, "the client sends without waiting for answers")
                self._end(token, session.close_reason)
                return _answer(410)
            session.posts += 1
            try:
                body: bytes = await request.data
                for line in self._lines(body):
                    await session.receive(line)
            except (BadFrame, NotifyxError) as error:
                log.info("long_poll_closed", reason=str(error))
                session.close(INTERNAL_ERROR, "bad frame")
                self._end(token, "bad frame")
                return _answer(500)
            finally:
                session.posts -= 1
            return _answer(200)

        @routes.after_request
        async def allow_origins(response: Response) -> Response:
            response.headers.add("Vary", "Origin")
            origin = request.headers.get("Origin")
            if origin is not None and origin in self._context.settings.allowed_origins:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
                response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
                response.headers["Access-Control-Max-Age"] = "600"
                response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            return response

        return routes

    def _session(self) -> tuple[str, LongPollSession | None]:
        """Return the token of a request (in a header, or the last ``token`` of the query) and its session."""
        named = request.headers.get("X-Phoenix-Longpoll-Token") or (request.args.getlist("token") or [""])[-1]
        return named, self._sessions.get(named)

    async def _forwarded(self, token: str) -> Response | None:
        """Return the answer of the node that holds the session; ``None`` if there is none."""
        return None if self._peers is None else await self._peers.forward(token, request)

    async def _open_session(self) -> Response:
        context = self._context
        if self._draining:
            return _rejected(Rejection(503, "This node is stopping; try again."))
        refused = reject_origin(request.headers.get("Origin"), context.settings.allowed_origins) or reject_version(
            request.args.get("vsn")
        )
        if refused is not None:
            return _rejected(refused)
        credential = request.headers.get("X-Phoenix-AuthToken") or self._query_credential()
        forwarded = request.headers.get("X-Forwarded-For")
        address = capped_address(request.remote_addr, forwarded, context.settings.trusted_proxies)
        decision = context.admissions.decide(credential, address)
        if decision is None:
            decision = await context.admissions.prove(credential, address)
        if isinstance(decision, Rejection):
            return _rejected(decision)
        token = secrets.token_urlsafe(24) if self._peers is None else self._peers.new_token()
        self._sessions[token] = LongPollSession(context, decision, objects=speaks_objects(request.args.get("vsn")))
        self._open.inc()
        return _answer(410, token=token, messages=[])

    def _query_credential(self) -> str:
        # The client appends its session's token, "null" before it has one.
        tokens = [token for token in request.args.getlist("token")[:1] if token not in ("", "null")]
        return tokens[0] if tokens else request.args.get("params[token]", "")

    def _lines(self, body: bytes) -> list[bytes]:
        lines = [line.strip() for line in body.split(b"\n") if line.strip()]
        if len(lines) > MAX_LINES or any(len(line) > self._context.settings.max_frame for line in lines):
            raise TooLarge("A batch has at most 100 lines, each no larger than a frame.")
        return lines

    def _end(self, token: str, reason: str) -> None:
        session = self._sessions.pop(token, None)
        if session is not None:
            self._open.dec()
            self._disconnects.labels(reason).inc()
            session.place.release()
            session.close(INTERNAL_ERROR, reason)
            session.discard()

    async def _end_idle(self) -> None:
        now, wall = asyncio.get_running_loop().time(), self._context.clock.now().timestamp()
        for token, session in list(self._sessions.items()):
            if now - session.last_poll > SESSION_IDLE_TIMEOUT:
                self._end(token, "unpolled")
            else:
                session.client.check_credential(wall)


def _rejected(refusal: Rejection) -> Response:
    # The client distinguishes two errors: 403, after which it gives up, and 500, after which it tries again.
    return _answer(403 if refusal.status == 403 else 500, reason=refusal.reason)


def _answer(status: int, **fields: Any) -> Response:
    body = orjson.dumps({"status": status, **fields})
    return Response(body, content_type="application/json", headers={"Cache-Control": "no-store"})
