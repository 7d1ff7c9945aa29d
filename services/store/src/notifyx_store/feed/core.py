"""What is sent to whom: watchers' cursors against offers, wake-ups and reads. Pure bookkeeping, no I/O, no clock.

A watcher is a (connection, topic). An *offer* is what this replica has just committed: it goes at once to the
watchers whose cursor it follows. Any other watcher that is behind what is known to exist is *stale*, and a read of
the log, from the lowest stale cursor, serves all stale watchers of a topic. A watcher whose connection is not
*ready* (too much waits to be sent to it) is left behind on purpose, and caught up from the log later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

C = TypeVar("C")

MAX_EARLY_OFFERS = 32
"""Most offers of a topic kept because one that precedes them is still under way."""


class FeedRow(NamedTuple):
    """One notification: its final JSON and when it was published (epoch milliseconds)."""

    seq: int
    payload: str
    published_ms: int


@dataclass(frozen=True, slots=True)
class Delivery(Generic[C]):
    """``items`` are all that exists of ``first``..``last``; to be sent to each of ``connections``, now, in order."""

    topic: UUID
    first: int
    last: int
    items: Sequence[FeedRow]
    connections: Sequence[C]


@dataclass(slots=True)
class _Watched(Generic[C]):
    name: str
    cursors: dict[C, int] = field(default_factory=dict)
    head: int = 0  # the highest seq known to exist
    reading: bool = False
    early_offers: dict[int, tuple[int, Sequence[FeedRow]]] = field(default_factory=dict)


class FeedCore(Generic[C]):
    """The cursors of all watchers of one replica. ``ready`` tells whether a connection takes rows now."""

    def __init__(self, accepts_rows: Callable[[C], bool]) -> None:
        self._accepts_rows = accepts_rows
        self._topics: dict[UUID, _Watched[C]] = {}
        self._names: dict[C, dict[str, UUID]] = {}
        self._stale: set[UUID] = set()

    @property
    def topics(self) -> list[UUID]:
        """The topics that anybody watches."""
        return list(self._topics)

    def watchers(self, topic: UUID) -> list[C]:
        """The connections that watch ``topic``."""
        watched = self._topics.get(topic)
        return list(watched.cursors) if watched is not None else []

    def name(self, topic: UUID) -> str:
        """The name under which a watched topic is known."""
        return self._topics[topic].name

    def watch(self, connection: C, name: str, topic: UUID, after: int) -> None:
        """Start, or start again, after ``after``. What is there already is found by a look at the topic's head."""
        self.unwatch(connection, name)
        self._names.setdefault(connection, {})[name] = topic
        watched = self._topics.setdefault(topic, _Watched(name))
        watched.cursors[connection] = after
        if watched.head > after:
            self._stale.add(topic)

    def unwatch(self, connection: C, name: str) -> None:
        """Stop; not watching is fine."""
        topic = self._names.get(connection, {}).pop(name, None)
        if topic is None:
            return
        watched = self._topics[topic]
        del watched.cursors[connection]
        if not watched.cursors:
            del self._topics[topic]
            self._stale.discard(topic)

    def remove_connection(self, connection: C) -> None:
        """The connection is gone, with all its watches."""
        for name in list(self._names.get(connection, ())):
            self.unwatch(connection, name)
        self._names.pop(connection, None)

    def remove_topic(self, topic: UUID) -> list[C]:
        """The topic is gone; the connections that watched it."""
        connections = self.watchers(topic)
        for connection in connections:
            self.unwatch(connection, self._topics[topic].name)
        return connections

    def offer(self, topic: UUID, first: int, last: int, items: Sequence[FeedRow]) -> list[Delivery[C]]:
        """``items`` are all of ``first``..``last`` and have just been committed."""
        watched = self._topics.get(topic)
        if watched is None:
            return []
        watched.head = max(watched.head, last)
        deliveries: list[Delivery[C]] = []
        self._forward(topic, watched, first, last, items, deliveries)
        if (
            not deliveries
            and len(watched.early_offers) < MAX_EARLY_OFFERS
            and first - 1 > max(watched.cursors.values())
        ):
            watched.early_offers[first] = (last, items)
        self._forward_early(topic, watched, last, deliveries)
        if any(cursor < watched.head for cursor in watched.cursors.values()):
            self._stale.add(topic)
        return deliveries

    def on_wakeup(self, topic: UUID, head: int) -> bool:
        """The topic has notifications up to ``head``; whether that leaves any watcher behind."""
        watched = self._topics.get(topic)
        if watched is None:
            return False
        watched.head = max(watched.head, head)
        if any(cursor < head for cursor in watched.cursors.values()):
            self._stale.add(topic)
            return True
        return False

    def resume(self, connection: C) -> None:
        """The connection takes rows again: what it was left behind with is to be read."""
        for topic in self._names.get(connection, {}).values():
            watched = self._topics[topic]
            if watched.cursors[connection] < watched.head:
                self._stale.add(topic)

    def next_reads(self, limit: int) -> list[tuple[UUID, int]]:
        """Up to ``limit`` topics to read now, and after which seq; each must be answered by read or unread."""
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

    def on_read(self, topic: UUID, after: int, upto: int, items: Sequence[FeedRow], head: int) -> list[Delivery[C]]:
        """The log was read: ``items`` are all of ``after + 1``..``upto``, and it ended at ``head`` then."""
        watched = self._topics.get(topic)
        if watched is None:
            return []
        watched.reading = False
        if upto <= after:
            # Whatever is known to exist is committed, so a read that finds nothing says that it is no more.
            watched.head = head
        deliveries: list[Delivery[C]] = []
        self._forward(topic, watched, after + 1, upto, items, deliveries)
        self._forward_early(topic, watched, upto, deliveries)
        if all(cursor >= watched.head for cursor in watched.cursors.values()):
            self._stale.discard(topic)
        return deliveries

    def on_read_failed(self, topics: Iterable[UUID]) -> None:
        """Reading failed; it is wanted still."""
        for topic in topics:
            if (watched := self._topics.get(topic)) is not None:
                watched.reading = False

    def _forward_early(self, topic: UUID, watched: _Watched[C], last: int, deliveries: list[Delivery[C]]) -> None:
        """An offer that came too early may be the next one, now that ``last`` has been handed on."""
        while (following := watched.early_offers.pop(last + 1, None)) is not None:
            first, (last, items) = last + 1, following
            self._forward(topic, watched, first, last, items, deliveries)
        if watched.early_offers:
            newest = max(watched.cursors.values())
            watched.early_offers = {first: kept for first, kept in watched.early_offers.items() if first > newest}

    def _forward(
        self,
        topic: UUID,
        watched: _Watched[C],
        first: int,
        last: int,
        items: Sequence[FeedRow],
        deliveries: list[Delivery[C]],
    ) -> None:
        """Send ``first``..``last`` to the watchers it follows or overlaps, to each what it has not had."""
        groups: dict[int, list[C]] = {}
        for connection, cursor in watched.cursors.items():
            if first - 1 <= cursor < last and self._accepts_rows(connection):
                groups.setdefault(cursor, []).append(connection)
        for cursor, connections in groups.items():
            for connection in connections:
                watched.cursors[connection] = last
            fresh = items if cursor < first else [item for item in items if item.seq > cursor]
            deliveries.append(Delivery(topic, cursor + 1, last, fresh, connections))
