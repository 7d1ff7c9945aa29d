"""``/socket/longpoll``: the same channels over plain HTTP, for networks that block WebSockets.

The HTTP status is always 200; the effective one is in the JSON. A session lives on the node that opened it. Other
nodes forward its requests to that node, or answer 410 if that is gone: then the client opens a new session, joins
again and so resumes. A forwarded request never opens one: the node that the client reached does, by its own caps. What
is queued for the next poll is bounded.

Either request may come twice without the client noticing: HTTP libraries and proxies repeat one whose connection broke.
A token counts the answers that its client has, so a repeated poll receives the lost answer again
(:mod:`notifyx_gateway.socket.longpoll_answers`), and a repeated line is handled once
(:mod:`notifyx_gateway.socket.longpoll_posts`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from types import TracebackType
from typing import Any, Self

import orjson
from quart import Blueprint, Response, request

from notifyx_common.background import every
from notifyx_common.contracts.gateway import LONG_POLL, LONG_POLL_CALLERS, LONG_POLL_TOKEN
from notifyx_common.errors import InvalidRequest, NotFound, NotifyxError, TooLarge, Unavailable
from notifyx_common.limiting.addresses import capped_address
from notifyx_common.serving.callers import require_caller
from notifyx_gateway.socket.client import INTERNAL_ERROR, SERVICE_RESTART
from notifyx_gateway.socket.context import SocketContext
from notifyx_gateway.socket.longpoll_peers import Peers
from notifyx_gateway.socket.longpoll_session import TRY_AGAIN_LATER, LongPollSession
from notifyx_gateway.socket.upgrade import LONGPOLL_PATH, Rejection, reject_origin, reject_version, speaks_objects
from notifyx_gateway.upstream.credential_state import Affects

SESSION_IDLE_TIMEOUT = 15.0
"""How long a session lives without a poll, in seconds."""

LAST_POLLS = 3.0
"""How long a drain waits for the polls that get the last answers, in seconds."""

MAX_LINES = 100
MAX_POSTS = 4
"""Maximum number of a session's requests whose lines wait; the client sends one at a time."""

ALLOWED_HEADERS = f"Content-Type, X-Phoenix-AuthToken, {LONG_POLL_TOKEN}"


class LongPoll:
    """All long-poll sessions of this node; serves while entered."""

    def __init__(self, context: SocketContext, peers: Peers | None = None) -> None:
        self._context = context
        self._peers = peers
        self._sessions: dict[str, LongPollSession] = {}
        self._tasks = context.background.tasks()
        self._draining = False
        self._ended = asyncio.Event()
        """Set when a session ends."""
        self._open = context.metrics.gauge("notifyx_connections").labels("longpoll")
        self._disconnects = context.metrics.counter("notifyx_disconnects_total")

    async def __aenter__(self) -> Self:
        checks = every(self._context.settings.idle_check_interval, self._end_idle, wait_first=True)
        self._tasks.endless("long poll checks", checks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clients = [session.client for session in self._sessions.values()]
        self._draining = True
        self._end_all()
        await self._tasks.close()
        await asyncio.gather(*(client.aclose() for client in clients))

    @property
    def count(self) -> int:
        """Number of open sessions."""
        return len(self._sessions)

    async def drain(self) -> None:
        """End every session; its client opens another elsewhere.

        What it has sent is answered before, and its client has :data:`LAST_POLLS` seconds to get the answers.
        """
        self._draining = True
        for token, session in list(self._sessions.items()):
            session.end(SERVICE_RESTART, "the node is stopping")
            if session.closed and not session.waiting_bytes():
                self._end(token, session.close_reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_POLLS):
                while self._sessions:
                    self._ended.clear()
                    await self._ended.wait()
        self._end_all()

    def _end_all(self) -> None:
        for token in list(self._sessions):
            self._end(token, str(SERVICE_RESTART))

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

        @routes.get(LONGPOLL_PATH)
        async def poll() -> Response:
            token = _session_token()
            return await self._poll(token) or await self._forwarded(token) or await self._open_session()

        @routes.post(LONGPOLL_PATH)
        async def push() -> Response:
            token = _session_token()
            return await self._push(token) or await self._forwarded(token) or _answer(410)

        @routes.route(LONG_POLL, methods=["GET", "POST"])
        async def forwarded() -> Response:
            require_caller(LONG_POLL_CALLERS)
            token = _session_token()
            found = await (self._push(token) if request.method == "POST" else self._poll(token))
            if found is None:
                raise NotFound("This gateway has no such session.")
            return found

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

    async def _poll(self, token: str) -> Response | None:
        """Return the answer to a poll; ``None`` if the session is not on this node."""
        name, seen = split_token(token)
        session = self._sessions.get(name)
        if session is None:
            return None
        found = await session.poll(seen)
        if session.closed and not found.messages:
            self._end(name, session.close_reason)
            return _answer(410)
        messages = [text.decode() for text in found.messages]
        return _answer(200 if messages else 204, token=join_token(name, found.number), messages=messages)

    async def _push(self, token: str) -> Response | None:
        """Return the answer to lines; ``None`` if the session is not on this node."""
        name, seen = split_token(token)
        session = self._sessions.get(name)
        if session is None or session.closed or session.ending:
            return None
        if session.posts >= MAX_POSTS:
            session.close(TRY_AGAIN_LATER, "the client sends without waiting for answers")
            self._end(name, session.close_reason)
            return _answer(410)
        session.posts += 1
        try:
            body: bytes = await request.data
            await session.push(seen, body, self._lines(body))
        except NotifyxError as error:
            if not isinstance(error, Unavailable):
                session.client.spend_control()
            return _answer(error.http_status, reason=error.reason)
        finally:
            session.posts -= 1
        return _answer(200)

    async def _forwarded(self, token: str) -> Response | None:
        """Return the answer of the node that holds the session; ``None`` if there is none."""
        return None if self._peers is None else await self._peers.forward(token, request)

    async def _open_session(self) -> Response:
        context = self._context
        if self._draining:
            return _rejected(Rejection(503, "This node is stopping; try again."))
        rejection = reject_origin(request.headers.get("Origin"), context.settings.allowed_origins) or reject_version(
            request.args.get("vsn")
        )
        if rejection is not None:
            return _rejected(rejection)
        credential = request.headers.get("X-Phoenix-AuthToken") or self._query_credential()
        forwarded = request.headers.get("X-Forwarded-For")
        address = capped_address(request.remote_addr, forwarded, context.settings.trusted_proxies)
        decision = context.admissions.decide(credential, address)
        if decision is None:
            decision = await context.admissions.prove(credential, address)
        if isinstance(decision, Rejection):
            return _rejected(decision)
        name = secrets.token_urlsafe(24) if self._peers is None else self._peers.new_token()
        self._sessions[name] = LongPollSession(context, decision, objects=speaks_objects(request.args.get("vsn")))
        self._open.inc()
        return _answer(410, token=join_token(name, 0), messages=[])

    def _query_credential(self) -> str:
        # The client appends its session's token, "null" before it has one.
        tokens = [token for token in request.args.getlist("token")[:1] if token not in ("", "null")]
        return tokens[0] if tokens else request.args.get("params[token]", "")

    def _lines(self, body: bytes) -> list[bytes]:
        lines = [line.strip() for line in body.split(b"\n") if line.strip()]
        if not lines:
            raise InvalidRequest("A request has at least one line.")
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
            self._ended.set()

    async def _end_idle(self) -> None:
        now, wall = asyncio.get_running_loop().time(), self._context.clock.now().timestamp()
        for token, session in list(self._sessions.items()):
            if now - session.last_poll > SESSION_IDLE_TIMEOUT:
                self._end(token, "unpolled")
            else:
                session.client.check_credential(wall)


def join_token(name: str, answers: int) -> str:
    """Return the token of a session after so many answers; a poll shows what its client has got."""
    return f"{name}~{answers}"


def split_token(token: str) -> tuple[str, int]:
    """Return the name of a session and the number of answers that its client has got; -1 for what is no token."""
    name, _, answers = token.partition("~")
    return name, int(answers) if answers.isascii() and answers.isdigit() and len(answers) < 20 else -1


def _session_token() -> str:
    """Return the token of the session that a request names, in a header or as the last ``token`` of the query."""
    return request.headers.get(LONG_POLL_TOKEN) or (request.args.getlist("token") or [""])[-1]


def _rejected(rejection: Rejection) -> Response:
    # The client distinguishes two errors: 403, after which it gives up, and 500, after which it tries again.
    return _answer(403 if rejection.status == 403 else 500, reason=rejection.reason)


def _answer(status: int, **fields: Any) -> Response:
    body = orjson.dumps({"status": status, **fields})
    return Response(body, content_type="application/json", headers={"Cache-Control": "no-store"})
