"""The client of the store's feed: one WebSocket to one store node, resumed on any node after a disconnect.

Lifecycle: connect with a timeout, send each watched topic with its cursor, read. A node that does not answer a ping is
asked whether it works, and abandoned once it is known to hang, or else after some three seconds, even if its connection
stays open (a suspended process). After every failure reading resumes from the cursors: nothing is lost or delivered
twice. A gap within a connection is read from the log before anything later is delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

import aiohttp

from notifyx_common.background import Background, Tasks
from notifyx_common.backoff import Backoff, between
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.feed import (
    BETWEEN,
    FEED,
    JOINED,
    Operation,
    Ping,
    Position,
    Unwatch,
    UnwatchUsers,
    Watch,
    WatchUsers,
)
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.delivery.cursors import FeedCursor, FeedProtocolError, Row, Rows, classify, decode

log = get_logger(__name__)

CONNECT_TIMEOUT = 2.0
PING_INTERVAL = 0.25
SILENCE_TIMEOUT = 2.25
"""How long a node may send nothing before it counts as dead, in seconds; a healthy one answers pings."""
MAX_MESSAGE = 64 << 20
MAX_PENDING_MESSAGES = 2000
RECONNECTS = Backoff(0.02, 1.0)
"""Pauses before the next attempt to connect."""
AWAY_AFTER = 2.0
"""Seconds after which a lost connection is more than a reconnect."""

STEADY_SECONDS = 5.0
"""Seconds after which a connection counts as stable: the pause after its end is the shortest again."""

_BETWEEN = BETWEEN.encode()


class FeedHandler(Protocol):
    """Receives the messages of the feed, in order, in the event loop. Must not block or raise."""

    def on_rows(self, topic: str, rows: list[Row], head: int, published_ms: int) -> None:
        """Handle ``rows``, all that exist up to ``head``; the list is empty if they have expired."""

    def on_acked(self, event: dict[str, Any]) -> None:
        """Handle an acknowledgement by a user: ``topic, user, up_to, seqs, unread, expired``."""

    def on_expired(self, topic: str) -> None:
        """Handle the removal of notifications that somebody had not acknowledged."""

    def on_subscriptions_changed(self, user: str) -> None:
        """Handle a change of the user's set of subscriptions."""

    def on_sent(self, user: str, to: str | None) -> None:
        """Handle a direct message by the user to ``to``; ``None`` where some may have been missed."""

    def on_topic_deleted(self, topic: str) -> None:
        """Handle the deletion of a topic; it is no longer watched."""

    def on_topic_changed(self, topic: str, version: str, *, public: bool) -> None:
        """Handle the version of the topic's permissions and settings, as its watch begins and when they change.

        It comes before the rows that were published by it. ``public``: by it, everyone who is signed in may read.
        It is empty where the store is of the previous release, which tells of changes alone.
        """

    def on_connected(self) -> None:
        """Handle a new connection: events other than rows may have been missed before it."""


ReadHistory = Callable[[str, int, int], Awaitable[list[Row]]]
"""``(topic, after, up_to)`` → the rows in (after, up_to] that still exist. Raises :class:`NotifyxError`."""


class _ConnectionLost(Exception):
    """The connection cannot be used any more."""


class FeedClient:
    """Watches topics and users at the store."""

    def __init__(
        self,
        client: ServiceClient,
        *,
        handler: FeedHandler,
        read_history: ReadHistory,
        metrics: Metrics,
        clock: Clock,
        background: Background,
    ) -> None:
        self._client = client
        self._handler = handler
        self._read_history = read_history
        self._clock = clock
        self._cursors: dict[str, FeedCursor] = {}
        self._users: dict[str, None] = {}
        self._dirty_topics: dict[str, None] = {}
        self._dirty_users: dict[str, None] = {}
        self._sent_topics: set[str] = set()
        self._sent_users: set[str] = set()
        self._wake = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None
        self._background = background
        self._tasks = background.tasks()
        self._gap_tasks = Tasks(background)
        self._last_message_at = 0.0
        self._reconnects = metrics.counter("notifyx_feed_reconnects_total")
        self._filled_gaps = metrics.counter("notifyx_feed_gaps_healed_total")
        self.connected_to: Endpoint | None = None
        """The store node that the feed is connected to; ``None`` while disconnected."""
        self._lost_at = clock.monotonic()

    async def __aenter__(self) -> Self:
        self._tasks.endless("feed", self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    @property
    def away(self) -> bool:
        """Whether nothing has come of the feed for longer than a reconnect takes: nothing new can arrive."""
        return self.connected_to is None and self._clock.monotonic() - self._lost_at > AWAY_AFTER

    def watch(self, topic: str, topic_id: str, after: int) -> None:
        """Watch ``topic`` from the seq after ``after``; replaces an earlier watch of that name."""
        known = self._cursors.get(topic)
        if known is not None and known.topic_id != topic_id:
            # Rows of the deleted topic of that name may be in transit; nothing in them distinguishes the two topics.
            self._disconnect("a topic was made anew")
        self._cursors[topic] = FeedCursor(topic_id, after)
        self._sent_topics.discard(topic)
        self._dirty_topics[topic] = None
        self._wake.set()

    def unwatch(self, topic: str) -> None:
        """Stop watching ``topic``."""
        if self._cursors.pop(topic, None) is not None:
            self._dirty_topics[topic] = None
            self._wake.set()

    def watch_user(self, user: str) -> None:
        """Watch the user's acknowledgements and subscriptions."""
        self._users[user] = None
        self._dirty_users[user] = None
        self._wake.set()

    def unwatch_user(self, user: str) -> None:
        """Stop watching the user."""
        self._users.pop(user, None)
        self._dirty_users[user] = None
        self._wake.set()

    async def _run(self) -> None:
        failures = 0
        connected_before = False
        while True:
            endpoint = self._client.pick()
            if endpoint is None:
                await asyncio.sleep(between(0.1, 0.25))
                continue
            started = self._clock.monotonic()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    socket = await self._client.session.ws_connect(
                        f"{endpoint.url}{FEED}",
                        params=JOINED,
                        max_msg_size=MAX_MESSAGE,
                        decode_text=False,
                        timeout=aiohttp.ClientWSTimeout(ws_close=0.5),
                        **self._client.call_options(endpoint),
                    )
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = type(error).__name__
            else:
                self._client.balancer.succeeded(endpoint.url)
                if connected_before:
                    self._reconnects.inc()
                connected_before = True
                log.info("feed_connected", node=endpoint.instance)
                reason = await self._serve(socket, endpoint)
            failures = 1 if self._clock.monotonic() - started > STEADY_SECONDS else failures + 1
            self._client.balancer.failed(endpoint.url, self._clock.monotonic())
            log.warning("feed_disconnected", node=endpoint.instance, reason=reason)
            await asyncio.sleep(RECONNECTS.after(failures))

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse[bool], endpoint: Endpoint) -> str:
        """Use one connection until it is lost; return the reason."""
        loop = asyncio.get_running_loop()
        broken = self._broken = loop.create_future()
        self._last_message_at = loop.time()
        self._sent_topics.clear()
        self._sent_users.clear()
        for cursor in self._cursors.values():
            cursor.pending = None
        self._dirty_topics = dict.fromkeys(self._cursors)
        self._dirty_users = dict(self._users)
        self._wake.set()
        self.connected_to = endpoint
        reasons: list[str] = []
        try:
            async with Tasks(self._background) as gap_tasks, asyncio.TaskGroup() as group:
                self._gap_tasks = gap_tasks
                group.create_task(self._read(socket), name="feed read")
                group.create_task(self._write(socket), name="feed write")
                group.create_task(self._check_liveness(socket, endpoint), name="feed pulse")
                # After the writer has started: what the handler reads from the store is then not older than the watch.
                self._handler.on_connected()
                await broken
        except* (_ConnectionLost, FeedProtocolError, aiohttp.ClientError, TimeoutError, OSError) as errors:
            reasons = [str(error) or type(error).__name__ for error in errors.exceptions]
        finally:
            self.connected_to = None
            # Of a store that hung, the connection was lost when it sent its last message.
            self._lost_at = self._clock.monotonic() - (loop.time() - self._last_message_at)
            self._broken = None
            if broken.done() and not broken.cancelled():
                broken.exception()  # another part may have failed in the same instant
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await socket.close()
        return "; ".join(reasons)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        loop = asyncio.get_running_loop()
        async for message in socket:
            self._last_message_at = loop.time()
            data = message.data
            if not isinstance(data, bytes):
                raise _ConnectionLost("the socket failed")
            for part in data.split(_BETWEEN):
                self._handle(decode(part))
        raise _ConnectionLost(f"closed by the store ({socket.close_code})")

    def _handle(self, message: Rows | dict[str, Any]) -> None:
        if isinstance(message, Rows):
            self._rows(message)
            return
        try:
            kind = message["type"]
            if kind == "acked":
                self._handler.on_acked(message)
            elif kind == "expired":
                self._handler.on_expired(message["topic"])
            elif kind == "subscriptions":
                self._handler.on_subscriptions_changed(message["user"])
            elif kind == "sent":
                self._handler.on_sent(message["user"], message["to"])
            elif kind in ("topic_changed", "topic_version"):
                version, public = message.get("version", ""), message.get("public", False)
                self._handler.on_topic_changed(message["topic"], version, public=public)
            elif kind == "topic_deleted":
                topic = message["topic"]
                # A name whose new watch is not sent yet belongs to another topic than the deleted one.
                if topic in self._sent_topics and self._cursors.pop(topic, None) is not None:
                    self._sent_topics.discard(topic)
                    self._handler.on_topic_deleted(topic)
        except KeyError as error:
            raise FeedProtocolError(f"a message of the feed lacks {error}") from None

    def _rows(self, rows: Rows) -> None:
        cursor = self._cursors.get(rows.topic)
        if cursor is None or rows.topic not in self._sent_topics:
            return  # unwatched, or watched again, while this was in transit
        if cursor.pending is not None:
            if len(cursor.pending) >= MAX_PENDING_MESSAGES:
                raise _ConnectionLost("too much was held while a gap was healed")
            cursor.pending.append(rows)
            return
        where = classify(cursor.head, rows)
        if where == "gap":
            cursor.pending = [rows]
            self._gap_tasks.spawn("feed heal", self._fill_gap(rows.topic, cursor, rows.first - 1))
        elif where == "next":
            fresh = rows.after(cursor.head)
            cursor.head = rows.last
            self._handler.on_rows(rows.topic, fresh, rows.last, rows.published_ms)

    async def _fill_gap(self, topic: str, cursor: FeedCursor, up_to: int) -> None:
        log.warning("feed_gap_detected", topic=topic, after=cursor.head, up_to=up_to)
        try:
            missing = await self._read_history(topic, cursor.head, up_to)
            if self._cursors.get(topic) is not cursor:
                return
            pending, cursor.pending = cursor.pending or [], None
            now_ms = int(self._clock.now().timestamp() * 1000)
            cursor.head = up_to
            self._filled_gaps.inc()
            self._handler.on_rows(topic, missing, up_to, pending[0].published_ms if pending else now_ms)
            for rows in pending:
                self._rows(rows)
        except (NotifyxError, _ConnectionLost, FeedProtocolError) as error:
            # A new connection starts from the cursors, before the gap.
            self._disconnect(f"a gap could not be healed: {error}")

    def _disconnect(self, reason: str) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(_ConnectionLost(reason))

    async def _write(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            topics, self._dirty_topics = self._dirty_topics, {}
            users, self._dirty_users = self._dirty_users, {}
            watch = {
                topic: Position(id=UUID(cursor.topic_id), after=cursor.head)
                for topic in topics
                if (cursor := self._cursors.get(topic)) is not None and topic not in self._sent_topics
            }
            unwatch = [topic for topic in topics if topic not in self._cursors]
            self._sent_topics.update(watch)
            self._sent_topics.difference_update(unwatch)
            new_users = sorted(user for user in users if user in self._users and user not in self._sent_users)
            old_users = sorted(user for user in users if user not in self._users and user in self._sent_users)
            self._sent_users.update(new_users)
            self._sent_users.difference_update(old_users)
            # Users first: an acknowledgement of a topic's first rows must not be missed.
            operations: tuple[Operation | None, ...] = (
                WatchUsers(users=new_users) if new_users else None,
                Watch(topics=watch) if watch else None,
                Unwatch(topics=unwatch) if unwatch else None,
                UnwatchUsers(users=old_users) if old_users else None,
            )
            for operation in operations:
                if operation is not None:
                    await socket.send_str(operation.model_dump_json())

    async def _check_liveness(self, socket: aiohttp.ClientWebSocketResponse[bool], endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        while True:
            number += 1
            async with asyncio.timeout(SILENCE_TIMEOUT):
                await socket.send_str(Ping(n=number).model_dump_json())
            before = loop.time()
            await asyncio.sleep(PING_INTERVAL)
            # If this process itself was suspended, it had no chance to read what was sent to it.
            stood_still = loop.time() - before > PING_INTERVAL * 2
            if stood_still:
                self._last_message_at = loop.time()
            elif self._client.is_silent(endpoint) or loop.time() - self._last_message_at > SILENCE_TIMEOUT:
                raise _ConnectionLost("the store is silent")
            elif self._last_message_at < before:
                self._client.suspect(endpoint)
