"""``GET /api/v1/topics/{name}/stream``: a topic as server-sent events.

The EventSource of browsers can send no header: it shows a ticket in the URL (``POST /api/v1/stream-tickets``), which
another request has got with the credential itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping

from quart import Blueprint, Response, request

from notifyx_common.backoff import between
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.contracts.stream_tickets import TICKET_PATTERN, NewStreamTicket
from notifyx_common.errors import Forbidden, NotifyxError, TooManyRequests, Unauthenticated, Unavailable
from notifyx_common.limiting.places import Cap, Caps, Place, Places
from notifyx_common.metrics import Metrics
from notifyx_common.serving.answers import answer
from notifyx_common.serving.current import current_state
from notifyx_common.serving.web import json_response
from notifyx_common.tokens import ExpiredToken, VerifiedToken
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import SMALL_BODY, query, read_model
from notifyx_gateway.rest.parameters import query_number, topic_name
from notifyx_gateway.rest.stream import KEEP_ALIVE, EventStream
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_state import Affects
from notifyx_gateway.upstream.identity import bearer_token
from notifyx_gateway.upstream.store import Store

TICKET = re.compile(TICKET_PATTERN)
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
CLOSE_GRACE = 5.0
"""How long a client may take to read the rest of an ended stream, in seconds."""

REJECTED_PAUSE = 30.0
"""Seconds after which a refused client may try again: nobody knows when another stream ends."""

_REJECTIONS: Mapping[Cap, str] = {
    "user": "You have as many open streams at this node as you may; close one, or try again later.",
    "address": "Your address has as many open streams at this node as it may; try again later.",
    "node": "This node serves as many streams as it may; try again later.",
}

REVALIDATE_INTERVAL = 10.0
"""Seconds until a credential is verified again after auth was unavailable."""


class EventStreams:
    """The event streams of this node: bounded in number, and ended by a drain."""

    def __init__(
        self,
        *,
        request_auth: RequestAuthenticator,
        auth: Auth,
        hub: Hub,
        store: Store,
        settings: GatewaySettings,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._request_auth = request_auth
        self._auth = auth
        self._hub = hub
        self._store = store
        self._settings = settings
        self._clock = clock
        self._open: set[EventStream] = set()
        self._draining = False
        self._gone = asyncio.Event()
        self._places = Places(
            Caps(settings.max_streams_per_user, settings.max_streams_per_address, settings.max_streams)
        )
        self._rejected = metrics.counter("notifyx_connections_rejected_total")
        self._connections = metrics.gauge("notifyx_connections").labels("stream")

    @property
    def count(self) -> int:
        """Number of open streams."""
        return len(self._open)

    async def drain(self) -> None:
        """Reject new streams, end the open ones, and return when all are closed."""
        self._draining = True
        for stream in tuple(self._open):
            stream.end("restart", {"reason": "This node is stopping; connect again."})
        while self._open:
            self._gone.clear()
            await self._gone.wait()

    def credentials_changed(self, affects: Affects) -> None:
        """End the streams whose credential has ended, or proves another address by now."""
        for stream in tuple(self._open):
            if affects(stream.principal):
                self._end_if_over(stream)

    def _end_if_over(self, stream: EventStream) -> None:
        try:
            principal = self._request_auth.authenticator.current(stream.principal)
        except Unauthenticated as error:
            stream.failed(ExpiredToken(error.reason))
            return
        if principal.verified_emails != stream.principal.verified_emails:
            stream.end("restart", {"reason": "Your account has another address; connect again."})

    async def open(self, name: str) -> Response:
        """Return the response that streams the topic ``name`` to the caller of the current request."""
        verified, token = await self._credential()
        principal = verified.principal
        topic = topic_name(name, inbox_of=principal.id)
        principal.require_scope("read", topic)
        since = _since()
        if self._draining:
            raise Unavailable("This node is stopping; connect again.")
        self._take_place(principal.id)
        requested_at = self._clock.monotonic()
        result = await self._store.join(principal, topic, since)
        if request.method == "HEAD":
            return Response(b"", content_type="text/event-stream", headers=HEADERS)
        response = Response(
            self._events(verified, token, result, since, requested_at),
            content_type="text/event-stream",
            headers=HEADERS,
        )
        response.timeout = None
        return response

    async def _credential(self) -> tuple[VerifiedToken, str | None]:
        """Return who opens the stream, and the token with which that can be verified again; a ticket has none."""
        ticket = _query().get("ticket", "")
        if not ticket or "Authorization" in request.headers:
            verified = await self._request_auth.credential()
            return verified, bearer_token(request.headers.get("Authorization"))
        if request.method == "HEAD" or TICKET.fullmatch(ticket) is None:
            raise Unauthenticated("This is no ticket that opens a stream.", code="invalid_ticket")
        used = await self._auth.use_stream_ticket(ticket)
        principal = used.principal.model_copy(update={"session": used.session, "epoch": used.epoch})
        caller = current_state().caller = self._request_auth.authenticator.current(principal)
        return VerifiedToken(caller, used.until), None

    async def create_ticket(self) -> Response:
        """Return a ticket for one stream of the topic that the current request names."""
        verified = await self._request_auth.credential()
        wanted = await read_model(NewStreamTicket, SMALL_BODY)
        topic = topic_name(wanted.topic, inbox_of=verified.principal.id)
        verified.principal.require_scope("read", topic)
        return json_response(await self._auth.create_stream_ticket(verified, topic), 201, {"Cache-Control": "no-store"})

    def _take_place(self, user: str) -> None:
        """Count the stream of the current request until that is over. Raises :class:`TooManyRequests`."""
        place = self._places.take(user, self._request_auth.capped_address())
        if isinstance(place, Place):
            answer().at_end(place.release)
            return
        self._rejected.labels(place).inc()
        raise TooManyRequests(_REJECTIONS[place], code="too_many_streams", retry_after=REJECTED_PAUSE)

    async def _events(
        self, verified: VerifiedToken, token: str | None, result: JoinResult, since: int | None, requested_at: float
    ) -> AsyncIterator[bytes]:
        stream = EventStream(
            verified.principal,
            result.topic,
            max_pending=self._settings.max_pending,
            together=self._hub.pending,
            on_end=_close_after_grace(),
        )
        self._open.add(stream)
        self._connections.inc()
        until = verified.expires_at.timestamp()
        try:
            # Random, so that the clients of a stopping node reconnect spread over a few seconds.
            yield b"retry: %d\n\n" % between(500, 5000)
            position = result.model_dump(exclude={"topic_id"})
            stream.send_event("joined", position)
            if self._draining:
                stream.end("restart", {"reason": "This node is stopping; connect again."})
            else:
                self._hub.attach(stream, result, since, requested_at)
                self._end_if_over(stream)  # it may have ended while the store was asked
            while True:
                remaining = until - self._clock.now().timestamp()
                if remaining <= 0 and not stream.closed:
                    try:
                        until = await self._revalidate(token)
                    except NotifyxError as error:
                        stream.failed(error)
                    continue
                payload = await stream.next_chunk(max(0.01, min(self._settings.stream_keep_alive, remaining)))
                if payload is None:
                    return
                yield payload
                if payload is not KEEP_ALIVE:
                    stream.on_written(payload)
        finally:
            self._hub.detach(stream)
            stream.close()
            self._hub.pending.remove(stream)
            self._open.discard(stream)
            self._connections.dec()
            self._gone.set()

    async def _revalidate(self, token: str | None) -> float:
        """Return when to verify the credential next. Raises :class:`Unauthenticated` if it is not valid any more."""
        if token is None:
            raise ExpiredToken("The time of this stream is over; connect again with a new ticket.")
        try:
            verified = await self._request_auth.authenticator.authenticate(token)
        except Unavailable:
            return self._clock.now().timestamp() + REVALIDATE_INTERVAL
        except (Unauthenticated, Forbidden) as error:
            raise ExpiredToken("The credential of this stream has ended; connect again with a new one.") from error
        until = verified.expires_at.timestamp()
        if until <= self._clock.now().timestamp():
            raise ExpiredToken("The access token of this stream has expired; connect again with a new one.")
        return until


def stream_routes(streams: EventStreams) -> Blueprint:
    """Return the routes of a topic's stream, and of tickets for one."""
    blueprint = Blueprint("stream", __name__, url_prefix="/api/v1")

    @blueprint.get("/topics/<name>/stream")
    async def stream(name: str) -> Response:
        return await streams.open(name)

    @blueprint.post("/stream-tickets")
    async def ticket() -> Response:
        query()
        return await streams.create_ticket()

    return blueprint


def _close_after_grace() -> Callable[[], None]:
    """Return a callback that cancels the current response :data:`CLOSE_GRACE` seconds after the stream has ended."""
    task = asyncio.current_task()
    assert task is not None
    response = task

    def end() -> None:
        asyncio.get_running_loop().call_later(CLOSE_GRACE, response.cancel)

    return end


def _query() -> dict[str, str]:
    return query("since", "lastEventId", "ticket")


def _since() -> int | None:
    """Return the last seq that the client has seen. What a browser adds when it reconnects is the newest it knows."""
    values = _query()
    header = request.headers.get("Last-Event-ID", "").strip()
    for name, text in (("Last-Event-ID", header), ("lastEventId", values.get("lastEventId", ""))):
        if text:
            return query_number({name: text}, name)
    return query_number(values, "since")
