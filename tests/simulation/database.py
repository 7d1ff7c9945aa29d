"""The simulated PostgreSQL: topics, readers and the outbox, transactions whose answer may be lost, and NOTIFY.

Each transaction takes effect at one instant. What it decides is decided by the store's own pure rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from notifyx_common.database import Announce
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.principal import Principal
from notifyx_store.base import wakeups
from notifyx_store.feed.core import FeedRow
from notifyx_store.feed.queries import LogPage, ReaderPosition
from notifyx_store.log.publish import Committed
from notifyx_store.topics.permissions import SettingsVersion
from simulation.clock import EPOCH, SimulatedClock
from simulation.network import End, Host, Network
from simulation.outbox import OutboxTable
from support.memory_store import MemoryStore
from support.memory_topics import MemoryTopic, MemoryTopics

T = TypeVar("T")

ROWS_PER_READ = 40
"""Rows of one read of the feed: few, so that reads are cut short."""


class Topics(MemoryTopics):
    """Topics whose ids follow from the order in which they are made."""

    def __init__(self) -> None:
        super().__init__()
        self.by_id: dict[UUID, MemoryTopic] = {}

    def make(self, name: str) -> MemoryTopic:
        if name not in self:
            topic = super().make(name)
            topic.id = UUID(int=len(self))
            topic.created_at = EPOCH
            topic.updated_at = EPOCH
            self.by_id[topic.id] = topic
        return self[name]


class Tables(MemoryStore):
    """The tables. ``changed`` holds the wake-ups of the transaction that runs."""

    topics: Topics

    def __init__(self) -> None:
        super().__init__()
        self.topics = Topics()
        self.by_id = self.topics.by_id
        self.changed: list[str] = []
        self._positions: dict[tuple[UUID, str], object] = {}

    def create(self, name: str, max_count: int | None) -> MemoryTopic:
        """Create a topic."""
        topic = self.topics.make(name)
        if max_count is not None:
            topic.max_count = max_count
        return topic

    async def _tell_acked(self, topic: MemoryTopic, user: str) -> None:
        # As in the store, an acknowledgement that changes nothing, such as one that is sent again, wakes nobody.
        seqs = sorted(topic.exceptions.get(user, ()))
        position = (topic.acked.get(user, 0), seqs, topic.told(user), topic.revisions[user])
        if self._positions.get((topic.id, user)) != position:
            self._positions[topic.id, user] = position
            self.changed += wakeups.acknowledged([(topic.id, user)])

    def answer(
        self, handler: Callable[[Principal, Any], Coroutine[Any, Any, T]], principal: Principal, asked: Any
    ) -> T:
        """Return what a handler of the memory store answers, which waits for nothing."""
        work = handler(principal, asked)
        try:
            work.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        raise AssertionError("a transaction takes no time")


class Database:
    """The server. ``lose_commits`` is the share of transactions whose connection breaks before or after them."""

    def __init__(self, network: Network, random: Random) -> None:
        self.host = Host("postgres")
        self.host.accepts["listen"] = self._listen
        self.tables = Tables()
        self.outbox = OutboxTable(self.tables.by_id)
        self.lose_commits = 0.0
        self.lose_wakeups = 0.0
        self._network = network
        self._clock = SimulatedClock(network.loop)
        self._random = random
        self._listeners: dict[End, None] = {}

    def now(self) -> datetime:
        """The wall clock."""
        return self._clock.now()

    async def run(
        self,
        caller: Host,
        work: Callable[[], T],
        *,
        writes: bool = False,
        unknown: type[NotifyxError] = Unavailable,
        announce: Announce | None = None,
    ) -> T:
        """Run a transaction for ``caller``, which hears what to ``announce`` with the answer; by default, NOTIFY does.

        Raises :class:`Unavailable` where there is no connection, and ``unknown`` where it broke while it was committed.
        """
        network = self._network
        answer: asyncio.Future[T] = network.loop.create_future()

        def fail(kind: type[NotifyxError]) -> Callable[[], None]:
            return lambda: answer.set_exception(kind("The connection to the database broke."))

        def answered(result: T, payloads: list[str], *, lost: bool) -> None:
            if announce is not None and payloads:
                announce(payloads, not lost)
            if lost:
                fail(unknown)()
            else:
                answer.set_result(result)

        def commit() -> None:
            lost = writes and self._random.random() < self.lose_commits
            if network.is_cut(caller, self.host):
                back(fail(Unavailable))
                return
            if lost and self._random.random() < 0.5:
                back(fail(unknown))
                return
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is the caller's
                failed = error
                back(lambda: answer.set_exception(failed))
                return
            payloads = self._notify() if announce is None else self._take_changed()
            back(lambda: answered(result, payloads, lost=lost))

        def back(then: Callable[[], None]) -> None:
            network.carry(self.host, caller, then)

        network.carry(caller, self.host, commit)
        return await answer

    def _take_changed(self) -> list[str]:
        payloads, self.tables.changed = self.tables.changed, []
        return payloads

    def _notify(self) -> list[str]:
        payloads = self._take_changed()
        for payload in payloads:
            for end in list(self._listeners):
                # Of rows alone: those that are lost otherwise are lost with their connection.
                if payload.startswith(('{"o"', '{"t"')) and self._random.random() < self.lose_wakeups:
                    continue
                end.send(payload.encode())
        return payloads

    def _listen(self, end: End, _: Any) -> None:
        self._listeners[end] = None
        end.start(lambda _: None, lambda: self._listeners.pop(end, None))
        end.send(b"listening")

    def drop_listeners(self, host: Host) -> None:
        """Break the connection on which a store listens, or that to NATS."""
        self._network.break_connections(host, self.host.zone)
        self._network.break_connections(host, "nats")

    # Transactions

    def publish(self, content: bytes, origin: str) -> tuple[bytes, Committed]:
        """Publish a batch; what retention removes goes with it."""
        before = {name: topic.pruned_seq for name, topic in self.tables.topics.items()}
        now = self.now()
        answer, runs = self.tables.topics.commit(content, now)
        self.tables.changed += wakeups.new_rows([(run.topic.id, run.last) for run in runs], origin)
        pruned = [topic for name, topic in self.tables.topics.items() if topic.pruned_seq > before[name]]
        if pruned:
            self.tables.changed += wakeups.expired([topic.id for topic in pruned])
        return answer, Committed(runs, now)

    def restrict(self, name: str, readers: Sequence[str]) -> None:
        """Change who may read a topic."""
        topic = self.tables.topics[name]
        topic.restrict(*readers)
        topic.updated_at = self.now()
        self.tables.changed += wakeups.topic_changed(name)
        self._notify()

    def heads(self, topics: Sequence[UUID]) -> dict[UUID, tuple[int, SettingsVersion]]:
        """Return the newest seq and the version of each topic."""
        found = {topic: self.tables.by_id[topic] for topic in topics if topic in self.tables.by_id}
        return {topic: (one.last_seq, one.facts().version) for topic, one in found.items()}

    def pages(self, wanted: Sequence[tuple[UUID, int]]) -> list[LogPage]:
        """Return the page that follows each ``(topic, after)``."""
        pages = []
        for topic_id, after in wanted:
            topic = self.tables.by_id[topic_id]
            seqs = [seq for seq in topic.log if seq > after][:ROWS_PER_READ]
            items = [FeedRow(seq, topic.log[seq].decode(), int(self.now().timestamp() * 1000)) for seq in seqs]
            upto = seqs[-1] if len(seqs) >= ROWS_PER_READ else max(topic.last_seq, after)
            pages.append(LogPage(topic_id, after, upto, topic.last_seq, items, topic.facts().version))
        return pages

    def positions(self, pairs: Sequence[tuple[UUID, str]]) -> list[ReaderPosition]:
        """Return the positions of readers who have one."""
        found = []
        for topic_id, user in pairs:
            topic = self.tables.by_id[topic_id]
            if user in topic.acked:
                seqs, revision = sorted(topic.exceptions.get(user, ())), topic.revisions[user]
                told = topic.unread(user), topic.told(user)
                found.append(ReaderPosition(topic.name, user, topic.acked[user], seqs, *told, revision, topic.last_seq))
        return found

    def pairs(self, users: Sequence[str], topics: Sequence[UUID]) -> list[tuple[UUID, str]]:
        """Return the pairs of users and topics with a position."""
        return [(topic, user) for user in users for topic in topics if user in self.tables.by_id[topic].acked]
