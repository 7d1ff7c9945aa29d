"""What this replica knows of the topics that it alone publishes to at present. Pure.

A publish to such topics needs no reads: one statement checks that they are still as they are known, and writes
(``publish_rows``). A topic to which another replica has published since is not taken for known until this one has
found it twice as it left it, so replicas that share a busy topic do not try in vain each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from notifyx_store.topics.permissions import TopicRow

MAX_KNOWN = 16_384
"""Maximum number of known topics, of about 1 kB each; the one published to least recently is evicted first.

Publishers that go through all of more topics than these, one after the other, find none of them known.
"""

MAX_SIZE = 8 << 20
"""Maximum number of characters of their states together, beyond which the same is evicted; they take about four times
as many bytes."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Topics by name as they are known, and their last seqs, which grow while the rows stay."""

    topics: Mapping[str, TopicRow]
    last_seqs: Mapping[UUID, int]


@dataclass(slots=True)
class _Known:
    topic: TopicRow
    last_seq: int
    alone: bool


class KnownTopics:
    """The topics of one replica. Inboxes are never known: what they accept depends on what is unread."""

    def __init__(self, max_known: int = MAX_KNOWN, max_size: int = MAX_SIZE) -> None:
        self._max_known, self._max_size = max_known, max_size
        self._size = 0
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._busy: dict[str, int] = {}

    @contextmanager
    def publishing(self, names: Collection[str]) -> Iterator[Heads | None]:
        """Note that the block publishes to topics of these names.

        Yield what is known of them: ``None`` if one is not known, or is being published to, so that it changes.
        """
        heads = self._heads(names)
        for name in names:
            self._busy[name] = self._busy.get(name, 0) + 1
        try:
            yield heads
        finally:
            for name in names:
                self._busy[name] -= 1
                if not self._busy[name]:
                    del self._busy[name]

    def learn(self, topics: Iterable[TopicRow]) -> None:
        """Note the rows of topics, which are locked at present. Those with long lists are read anew each time."""
        for topic in topics:
            if topic.is_inbox:
                continue
            if not topic.whole:
                self._drop(topic.name)
                continue
            known = self._known.get(topic.name)
            alone = known is None or known.topic.id != topic.id or known.last_seq == topic.last_seq
            self._drop(topic.name)
            self._known[topic.name] = _Known(topic, topic.last_seq, alone)
            self._size += len(topic.state)
        while len(self._known) > self._max_known or self._size > self._max_size:
            self._drop(next(iter(self._known)))

    def published(self, heads: Iterable[tuple[TopicRow, int]]) -> None:
        """Note what was committed: topics and their last seqs."""
        for topic, last_seq in heads:
            known = self._known.get(topic.name)
            if known is not None and known.topic.id == topic.id:
                known.last_seq = max(known.last_seq, last_seq)
                self._known.move_to_end(topic.name)

    def distrust(self, names: Iterable[str]) -> None:
        """Do not take these for known until they are found as they were left."""
        for name in names:
            if (known := self._known.get(name)) is not None:
                known.alone = False

    def _drop(self, name: str) -> None:
        if (known := self._known.pop(name, None)) is not None:
            self._size -= len(known.topic.state)

    def _heads(self, names: Collection[str]) -> Heads | None:
        topics: dict[str, TopicRow] = {}
        last_seqs: dict[UUID, int] = {}
        for name in names:
            known = self._known.get(name)
            if known is None or not known.alone or name in self._busy:
                return None
            topics[name] = known.topic
            last_seqs[known.topic.id] = known.last_seq
        return Heads(topics, last_seqs) if topics else None
