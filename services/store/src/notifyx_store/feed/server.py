"""The I/O around the feed's core on one replica: connections, reads of the log, and polling.

Four loops, each of which waits while the database is away: *reads* serve stale watchers; *checks* read the heads of
topics (new watches and hinted topics at once, all of them every second); *positions* send users their positions after
acknowledgements, all of an instant together; the *listener* receives hints.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self
from uuid import UUID

from notifyx_common.background import Background, every
from notifyx_common.backoff import Backoff
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.feed import Unwatch, UnwatchUsers, Watch, WatchUsers
from notifyx_common.database import lost_as_unavailable
from notifyx_common.errors import Unavailable
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.base.settings import StoreSettings
from notifyx_store.base.wakeups import Wakeup
from notifyx_store.feed import messages
from notifyx_store.feed.connection import FeedConnection
from notifyx_store.feed.core import Delivery, FeedCore, FeedRow, News
from notifyx_store.feed.recent import RecentWakeups
from notifyx_store.feed.source import FeedSource
from notifyx_store.log.publish import Committed
from notifyx_store.topics.permissions import SettingsVersion

TOPICS_PER_READ = 16
PAIRS_PER_READ = 500
OFFER_GRACE = 0.05
"""Delay of a wake-up that this replica caused, in seconds: its offer usually comes first."""

ACK_GATHER_SECONDS = 0.01
"""How long acknowledgements are gathered before positions are sent, in seconds."""

_RETRIES = Backoff(0.1, 2.0)


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """``poll``: seconds between two reads of all heads. Of one gateway's queue no rows are added above ``high_water``
    characters, and its connection is closed above ``queue``."""

    poll: float
    high_water: int
    queue: int

    @classmethod
    def of(cls, settings: StoreSettings) -> Self:
        """Return the limits of the settings."""
        return cls(settings.feed_poll, settings.feed_high_water, settings.feed_queue)


class FeedServer:
    """All feed connections of this replica."""

    def __init__(
        self,
        source: FeedSource,
        limits: FeedLimits,
        *,
        clock: Clock,
        metrics: StoreMetrics,
        origin: str,
        background: Background,
    ) -> None:
        """``origin`` names this replica in its wake-ups."""
        self.listening = asyncio.Event()
        """Set once wake-ups are received for the first time."""

        self._source = source
        self._limits = limits
        self._clock = clock
        self._background = background
        self._metrics = metrics
        self._origin = origin
        self._core: FeedCore[FeedConnection] = FeedCore(FeedConnection.accepts_rows)
        self._connections: dict[FeedConnection, None] = {}
        self._users: dict[str, dict[FeedConnection, None]] = {}
        self._recent = RecentWakeups()
        self._unchecked: set[UUID] = set()
        self._pairs: dict[tuple[UUID, str], None] = {}
        self._resync = False
        self._next_poll = 0.0
        self._stale = asyncio.Event()
        self._check = asyncio.Event()
        self._acked = asyncio.Event()
        self._published: Callable[[Iterable[UUID]], None] = lambda topics: None

    @asynccontextmanager
    async def running(self, published: Callable[[Iterable[UUID]], None]) -> AsyncIterator[None]:
        """Run the loops while the block is entered; ``published`` receives the topics with new rows."""
        self._published = published
        async with self._background.tasks() as tasks:
            tasks.endless("feed reads", self._rounds(None, self._read, self._stale))
            tasks.endless("feed checks", self._rounds(self._limits.poll, self._poll_heads, self._check))
            tasks.endless("feed positions", self._rounds(None, self._send_positions, self._acked))
            tasks.endless("feed listener", self._source.listen(self.wake, self._on_missed))
            try:
                yield
            finally:
                self.close("this node is stopping")

    def connect(self, *, joined: bool = False) -> FeedConnection:
        """Return a new connection, which watches nothing yet; its gateway may accept ``joined`` frames."""
        connection = FeedConnection(self._limits.high_water, self._limits.queue, self._resume, joined=joined)
        self._connections[connection] = None
        self._metrics.feed_connections.set(len(self._connections))
        return connection

    def disconnect(self, connection: FeedConnection) -> None:
        """Remove a connection that has ended."""
        connection.close("disconnected")
        self._core.remove_connection(connection)
        self._unwatch_users(connection, list(connection.users))
        self._connections.pop(connection, None)
        self._metrics.feed_connections.set(len(self._connections))

    def close(self, reason: str) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            connection.close(reason)

    def handle(self, connection: FeedConnection, text: str | bytes) -> None:
        """Handle a gateway's message. Raises :class:`InvalidRequest`."""
        operation = messages.parse(text)
        if isinstance(operation, Watch):
            now = self._clock.monotonic()
            for name, position in operation.topics.items():
                self._core.watch(connection, name, position.id, position.after)
                self._unchecked.add(position.id)
                if self._recent.expired(position.id, now):
                    connection.put(messages.expired_frame(name))
            self._check.set()
        elif isinstance(operation, Unwatch):
            for name in operation.topics:
                self._core.unwatch(connection, name)
        elif isinstance(operation, WatchUsers):
            for user in operation.users:
                self._users.setdefault(user, {})[connection] = None
                connection.users[user] = None
            self._send_recent(connection, operation.users)
        elif isinstance(operation, UnwatchUsers):
            self._unwatch_users(connection, operation.users)
        else:
            connection.put(messages.pong_frame(operation.n))

    def offer(self, committed: Committed) -> None:
        """Deliver what this replica has just committed."""
        published_ms = int(committed.published_at.timestamp() * 1000)
        for run in committed.runs:
            items = [FeedRow(run.first + n, payload, published_ms) for n, payload in enumerate(run.payloads)]
            self._send(self._core.offer(run.topic.id, run.first, run.last, items, run.topic.version))
        self._stale.set()

    def wake(self, wakeup: Wakeup) -> None:
        """Handle a wake-up of this or another replica."""
        if wakeup.rows:
            self._published(topic for topic, _ in wakeup.rows)
            if wakeup.origin == self._origin:
                # Its offer is under way. If it never comes (the request was cancelled), this finds the rows.
                asyncio.get_running_loop().call_later(OFFER_GRACE, self._on_wakeup, wakeup.rows)
            else:
                self._on_wakeup(wakeup.rows)
        self._recent.note(wakeup, self._clock.monotonic())
        if wakeup.acked:
            self._pairs.update(dict.fromkeys(pair for pair in wakeup.acked if pair[1] in self._users))
            self._acked.set()
        for user in wakeup.users:
            for connection in self._users.get(user, ()):
                connection.put(messages.subscriptions_frame(user))
        for sender, recipient in wakeup.direct:
            for connection in self._users.get(sender, ()):
                connection.put(messages.sent_frame(sender, recipient))
        for topic in wakeup.expired:
            for connection in self._core.watchers(topic):
                connection.put(messages.expired_frame(self._core.name(topic)))
        if wakeup.changed or wakeup.deleted:
            deleted = {topic for topic, _ in wakeup.deleted}
            changed = set(wakeup.changed)
            self._unchecked.update(
                topic for topic in self._core.topics if topic in deleted or self._core.name(topic) in changed
            )
            self._check.set()

    def _on_wakeup(self, rows: Iterable[tuple[UUID, int]]) -> None:
        behind = [topic for topic, head in rows if self._core.on_wakeup(topic, head)]
        if behind:
            self._stale.set()

    def _on_missed(self) -> None:
        """Check everything again: wake-ups may have been missed."""
        self.listening.set()
        self._unchecked.update(self._core.topics)
        self._resync = True
        self._check.set()
        self._published(())

    def _resume(self, connection: FeedConnection) -> None:
        self._core.resume(connection)
        self._stale.set()

    def _unwatch_users(self, connection: FeedConnection, users: Iterable[str]) -> None:
        for user in users:
            connection.users.pop(user, None)
            watching = self._users.get(user, {})
            watching.pop(connection, None)
            if not watching:
                self._users.pop(user, None)

    def _send_recent(self, connection: FeedConnection, users: Iterable[str]) -> None:
        """Send a connection that begins to watch ``users`` the events that came while its watch was on its way."""
        now = self._clock.monotonic()
        for user in users:
            events = self._recent.of(user, now)
            self._pairs.update(dict.fromkeys((topic, user) for topic in events.acked))
            if events.acked:
                self._acked.set()
            if events.subscriptions:
                connection.put(messages.subscriptions_frame(user))
            for recipient in sorted(events.sent):
                connection.put(messages.sent_frame(user, recipient))

    def _send(self, deliveries: Iterable[Delivery[FeedConnection]]) -> None:
        now_ms = int(self._clock.now().timestamp() * 1000)
        for delivery in deliveries:
            name = self._core.name(delivery.topic)
            self._send_version(name, delivery.version, delivery.news)
            frame = messages.rows_frame(name, delivery.first, delivery.last, delivery.items, now_ms)
            for connection in delivery.connections:
                connection.put(frame)

    async def _read(self) -> None:
        """Read the log for stale watchers until none is left that accepts rows."""
        while wanted := self._core.next_reads(TOPICS_PER_READ):
            try:
                pages = await self._source.pages(wanted)
            finally:
                self._core.on_read_failed(topic for topic, _ in wanted)
            now_ms = self._clock.now().timestamp() * 1000
            oldest = min((page.items[0].published_ms for page in pages if page.items), default=now_ms)
            self._metrics.feed_lag.set(max(now_ms - oldest, 0) / 1000)
            for page in pages:
                self._send(self._core.on_read(page.topic, page.after, page.upto, page.items, page.head, page.version))
            if gone := {topic for topic, _ in wanted} - {page.topic for page in pages}:
                self._unchecked.update(gone)
                self._check.set()
                await self._read_heads(gone)
        self._metrics.feed_lag.set(0)

    async def _poll_heads(self) -> None:
        """Read the heads of the topics that are new or hinted at, and of all topics once per interval."""
        topics, self._unchecked = self._unchecked, set()
        resync, self._resync = self._resync, False
        now = self._clock.monotonic()
        try:
            if now >= self._next_poll:
                await self._read_heads(self._core.topics)
                self._next_poll = now + self._limits.poll * 0.8
            else:
                await self._read_heads(topics)
            if resync:
                await self._recheck_users()
        except BaseException:
            self._unchecked |= topics
            self._resync = self._resync or resync
            raise

    async def _read_heads(self, topics: Iterable[UUID]) -> None:
        watched = [topic for topic in topics if self._core.watchers(topic)]
        if not watched:
            return
        heads = await self._source.heads(watched)
        for topic in watched:
            watchers = self._core.watchers(topic)
            if not watchers:
                continue
            name = self._core.name(topic)
            if topic not in heads:
                for connection in self._core.remove_topic(topic):
                    connection.put(messages.deleted_frame(name))
                continue
            head, version = heads[topic]
            self._send_version(name, version, self._core.on_version(topic, version))
            if self._core.on_wakeup(topic, head):
                self._stale.set()

    def _send_version(self, name: str, version: SettingsVersion, news: News[FeedConnection]) -> None:
        for connection in news.first:
            connection.put(messages.version_frame(name, version))
        for connection in news.changed:
            connection.put(messages.changed_frame(name, version))

    async def _recheck_users(self) -> None:
        """After wake-ups may have been missed: send the watched users what may have changed."""
        users = list(self._users)
        for user in users:
            for connection in self._users.get(user, ()):
                connection.put(messages.subscriptions_frame(user))
                connection.put(messages.sent_frame(user, None))
        if users:
            self._pairs.update(dict.fromkeys(await self._source.pairs(users, self._core.topics)))
            self._acked.set()

    async def _send_positions(self) -> None:
        """Send their new positions to the devices of users who acknowledged."""
        await asyncio.sleep(ACK_GATHER_SECONDS)
        while self._pairs:
            pairs = list(islice(self._pairs, PAIRS_PER_READ))
            for pair in pairs:
                del self._pairs[pair]
            try:
                positions = await self._source.positions(pairs)
            except BaseException:
                self._pairs.update(dict.fromkeys(pairs))
                raise
            for position in positions:
                frame = messages.acked_frame(
                    position.topic,
                    position.user,
                    position.up_to,
                    position.seqs,
                    unread=position.unread,
                    expired=position.expired,
                    revision=position.revision,
                    head=position.head,
                )
                for watching in self._users.get(position.user, ()):
                    watching.put(frame)

    def _rounds(
        self, interval: float | None, step: Callable[[], Awaitable[None]], wanted: asyncio.Event
    ) -> Coroutine[Any, Any, None]:
        """Run ``step`` when ``wanted`` is set, and every ``interval`` seconds."""
        return every(
            interval,
            lost_as_unavailable(step),
            away=(Unavailable,),
            backoff=_RETRIES,
            wake=wanted,
            wait_first=True,
        )
