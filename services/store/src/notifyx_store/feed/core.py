"""Decides what is sent to whom, from watchers' cursors, offers, wake-ups and reads. Pure.

A watcher is a (connection, topic). An *offer* is what this replica has just committed: it is sent at once to the
watchers whose cursor it follows. Any other watcher behind the known head is *stale*; one read of the log, from the
lowest stale cursor, serves all stale watchers of a topic. While a connection accepts no rows (its queue is too long),
its watchers stay behind on purpose, and catch up from the log later.

Rows come with the version of the topic's settings by which they were published, or a later one. A watcher is notified
of it before it gets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from notifyx_store.topics.permissions import SettingsVersion

C = TypeVar("C")

MAX_EARLY_OFFERS = 32
"""Maximum number of offers per topic that are held until the offer before them arrives."""


class FeedRow(NamedTuple):
    """One notification: its JSON as stored, and when it was published (epoch milliseconds)."""

    seq: int
    payload: str
    published_ms: int


@dataclass(frozen=True, slots=True)
class Delivery(Generic[C]):
    """All existing rows of ``first``..``last``, to be sent to each of ``connections`` now, in this order.

    Those of ``news`` are to be sent ``version`` before.
    """

    topic: UUID
    first: int
    last: int
    items: Sequence[FeedRow]
    connections: Sequence[C]
    version: SettingsVersion
    news: News[C]


class News(NamedTuple, Generic[C]):
    """Watchers to notify of the version of a topic's settings: their ``first`` one, or one that ``changed``."""

    first: Sequence[C]
    changed: Sequence[C]


@dataclass(slots=True)
class _Watched(Generic[C]):
    name: str
    cursors: dict[C, int] = field(default_factory=dict)
    notified: dict[C, SettingsVersion] = field(default_factory=dict)
    head: int = 0  # the highest seq known to exist
    reading: bool = False
    early_offers: dict[int, tuple[int, Sequence[FeedRow], SettingsVersion]] = field(default_factory=dict)


class FeedCore(Generic[C]):
    """The cursors of all watchers of one replica. ``accepts_rows`` returns whether a connection accepts rows now."""

    def __init__(self, accepts_rows: Callable[[C], bool]) -> None:
        self._accepts_rows = accepts_rows
        self._topics: dict[UUID, _Watched[C]] = {}
        self._names: dict[C, dict[str, UUID]] = {}
        self._stale: set[UUID] = set()

    @property
    def topics(self) -> list[UUID]:
        """Return the topics that have watchers."""
        return list(self._topics)

    def watchers(self, topic: UUID) -> list[C]:
        """Return the connections that watch ``topic``."""
        watched = self._topics.get(topic)
        return list(watched.cursors) if watched is not None else []

    def name(self, topic: UUID) -> str:
        """Return the name of a watched topic."""
        return self._topics[topic].name

    def watch(self, connection: C, name: str, topic: UUID, after: int) -> None:
        """Start, or restart, a watch after ``after``. Reading the topic's head finds rows that exist already."""
        self.unwatch(connection, name)
        self._names.setdefault(connection, {})[name] = topic
        watched = self._topics.setdefault(topic, _Watched(name))
        watched.cursors[connection] = after
        if watched.head > after:
            self._stale.add(topic)

    def unwatch(self, connection: C, name: str) -> None:
        """Stop a watch, if there is one."""
        topic = self._names.get(connection, {}).pop(name, None)
        if topic is None:
            return
        watched = self._topics[topic]
        del watched.cursors[connection]
        watched.notified.pop(connection, None)
        if not watched.cursors:
            del self._topics[topic]
            self._stale.discard(topic)

    def remove_connection(self, connection: C) -> None:
        """Remove a closed connection and all its watches."""
        for name in list(self._names.get(connection, ())):
            self.unwatch(connection, name)
        self._names.pop(connection, None)

    def remove_topic(self, topic: UUID) -> list[C]:
        """Remove a deleted topic; return the connections that watched it."""
        connections = self.watchers(topic)
        for connection in connections:
            self.unwatch(connection, self._topics[topic].name)
        return connections

    def offer(
        self, topic: UUID, first: int, last: int, items: Sequence[FeedRow], version: SettingsVersion
    ) -> list[Delivery[C]]:
        """Deliver what was just committed: ``items`` are all rows of ``first``..``last``."""
        watched = self._topics.get(topic)
        if watched is None:
            return []
        watched.head = max(watched.head, last)
        deliveries: list[Delivery[C]] = []
        self._forward(topic, watched, first, last, items, version, deliveries)
        if (
            not deliveries
            and len(watched.early_offers) < MAX_EARLY_OFFERS
            and first - 1 > max(watched.cursors.values())
        ):
            watched.early_offers[first] = (last, items, version)
        self._forward_early(topic, watched, last, deliveries)
        if any(cursor < watched.head for cursor in watched.cursors.values()):
            self._stale.add(topic)
        return deliveries

    def on_version(self, topic: UUID, version: SettingsVersion) -> News[C]:
        """Record the version of a topic's settings; return the watchers to notify of it."""
        watched = self._topics.get(topic)
        return News((), ()) if watched is None else self._news(watched, watched.cursors, version)

    def on_wakeup(self, topic: UUID, head: int) -> bool:
        """Record that the topic reaches ``head``; return whether a watcher is now behind."""
        watched = self._topics.get(topic)
        if watched is None:
            return False
        watched.head = max(watched.head, head)
        if any(cursor < head for cursor in watched.cursors.values()):
            self._stale.add(topic)
            return True
        return False

    def resume(self, connection: C) -> None:
        """Record that the connection accepts rows again: mark the topics that it is behind in."""
        for topic in self._names.get(connection, {}).values():
            watched = self._topics[topic]
            if watched.cursors[connection] < watched.head:
                self._stale.add(topic)

    def next_reads(self, limit: int) -> list[tuple[UUID, int]]:
        """Return up to ``limit`` topics to read now, each with the seq to read after.

        Report each by :meth:`on_read` or :meth:`on_read_failed`.
        """
        wanted: list[tuple[UUID, int]] = []
        for topic in list(self._stale):
            if len(wanted) >= limit:
                break
            watched = self._topics[topic]
            if watched.reading:
                continue
            behind = [
                cursor
                for connection, cursor in watched.cursors.items()
                if cursor < watched.head and self._accepts_rows(connection)
            ]
            if not behind:
                self._stale.discard(topic)
                continue
            watched.reading = True
            wanted.append((topic, min(behind)))
        return wanted

    def on_read(
        self,
        topic: UUID,
        after: int,
        upto: int,
        items: Sequence[FeedRow],
        head: int,
        version: SettingsVersion,
    ) -> list[Delivery[C]]:
        """Deliver what was read: ``items`` are all rows of ``after + 1``..``upto``; the log ended at ``head``."""
        watched = self._topics.get(topic)
        if watched is None:
            return []
        watched.reading = False
        if upto <= after:
            # All of the known head is committed, so a read without rows means that the rest was removed.
            watched.head = head
        deliveries: list[Delivery[C]] = []
        self._forward(topic, watched, after + 1, upto, items, version, deliveries)
        self._forward_early(topic, watched, upto, deliveries)
        if all(cursor >= watched.head for cursor in watched.cursors.values()):
            self._stale.discard(topic)
        return deliveries

    def on_read_failed(self, topics: Iterable[UUID]) -> None:
        """Record that reading these topics failed: they are to be read again."""
        for topic in topics:
            if (watched := self._topics.get(topic)) is not None:
                watched.reading = False

    def _forward_early(self, topic: UUID, watched: _Watched[C], last: int, deliveries: list[Delivery[C]]) -> None:
        """Forward the offers that were held because they came before ``last``, as far as they now follow it."""
        while (following := watched.early_offers.pop(last + 1, None)) is not None:
            first, (last, items, version) = last + 1, following
            self._forward(topic, watched, first, last, items, version, deliveries)
        if watched.early_offers:
            newest = max(watched.cursors.values())
            watched.early_offers = {first: offer for first, offer in watched.early_offers.items() if first > newest}

    def _forward(
        self,
        topic: UUID,
        watched: _Watched[C],
        first: int,
        last: int,
        items: Sequence[FeedRow],
        version: SettingsVersion,
        deliveries: list[Delivery[C]],
    ) -> None:
        """Send ``first``..``last`` to the watchers whose cursor it follows or overlaps: to each what is new to it."""
        groups: dict[int, list[C]] = {}
        for connection, cursor in watched.cursors.items():
            if first - 1 <= cursor < last and self._accepts_rows(connection):
                groups.setdefault(cursor, []).append(connection)
        for cursor, connections in groups.items():
            for connection in connections:
                watched.cursors[connection] = last
            fresh = items if cursor < first else [item for item in items if item.seq > cursor]
            news = self._news(watched, connections, version)
            deliveries.append(Delivery(topic, cursor + 1, last, fresh, connections, version, news))

    def _news(self, watched: _Watched[C], connections: Iterable[C], version: SettingsVersion) -> News[C]:
        notified = watched.notified
        unaware = [connection for connection in connections if notified.get(connection) != version]
        if not unaware:
            return News((), ())
        news = News(
            first=[connection for connection in unaware if connection not in notified],
            changed=[connection for connection in unaware if connection in notified],
        )
        notified.update(dict.fromkeys(unaware, version))
        return news
