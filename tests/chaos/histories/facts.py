"""A history as the rules read it: its events by what they are about. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from chaos.histories.events import (
    Ack,
    Began,
    Event,
    FaultSpan,
    LogRead,
    Publish,
    Receive,
    SubscriptionFacts,
    TopicFacts,
    UnreadRead,
)

E = TypeVar("E")
U = TypeVar("U", Ack, UnreadRead)
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: the rule, and one sentence that says what happened."""

    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.sentence}"


@dataclass(slots=True)
class Message:
    """What is known of a message: the attempts to publish it, and the seqs under which it was received."""

    name: str
    topic: str
    attempts: list[Publish] = field(default_factory=list)
    received: set[int] = field(default_factory=set)

    @property
    def started(self) -> float:
        """When it was first tried: before that it may not exist."""
        return min(attempt.started for attempt in self.attempts)

    @property
    def answered(self) -> float:
        """When it was first acknowledged: from then on it exists."""
        return min((attempt.at for attempt in self.attempts if attempt.outcome == "ok"), default=NEVER)

    @property
    def acknowledged(self) -> bool:
        """Whether it was acknowledged."""
        return any(attempt.outcome == "ok" for attempt in self.attempts)

    @property
    def possible(self) -> bool:
        """Whether it may exist: not all attempts were refused."""
        return any(attempt.outcome != "refused" for attempt in self.attempts)

    @property
    def seqs(self) -> set[int]:
        """The seqs under which it was acknowledged; one, if all is well."""
        return {attempt.seq for attempt in self.attempts if attempt.seq is not None}


@dataclass(frozen=True, slots=True)
class Existence:
    """When a seq came to be: not before ``begun``, and at ``known`` it was there."""

    seq: int
    begun: float
    known: float


class Facts:
    """The indexes of one history. Raises :class:`ValueError` for one that does not begin with :class:`Began`."""

    def __init__(self, history: Sequence[Event]) -> None:
        if not history or not isinstance(history[0], Began):
            raise ValueError("a history begins with `began`")
        self.history = history
        self.began: Began = history[0]
        self.topics: Mapping[str, TopicFacts] = {topic.name: topic for topic in self.began.topics}
        self.subscriptions: Mapping[tuple[str, str], SubscriptionFacts] = {
            (one.user, one.topic): one for one in self.began.subscriptions
        }
        self.messages: dict[str, Message] = {}
        for attempt in self.of(Publish):
            message = self.messages.setdefault(attempt.message, Message(attempt.message, attempt.topic))
            message.attempts.append(attempt)
        self._seen: dict[tuple[str, int], float] = {}
        for event in self.of(Receive):
            self._seen.setdefault((event.topic, event.seq), event.at)
            if (received := self.messages.get(event.message)) is not None and received.topic == event.topic:
                received.received.add(event.seq)
        self.logs: Mapping[str, LogRead] = {log.topic: log for log in self.of(LogRead)}
        self._in_log = {(log.topic, name): seq for log in self.logs.values() for seq, name in log.items}
        self.acks = _by_user_and_topic(self.of(Ack))
        self.reads = _by_user_and_topic(self.of(UnreadRead))
        self.end = max(event.at for event in history)

    def of(self, kind: type[E]) -> Iterator[E]:
        """Yield the events of ``kind``, in their order."""
        return (event for event in self.history if isinstance(event, kind))

    def seq_of(self, message: Message) -> int | None:
        """Return the seq of ``message`` by its acknowledgement or, without one, by the log or by who received it.

        ``None``: it does not exist, or nobody knows its seq: not answered, not received, and removed by retention.
        """
        if message.seqs:
            return min(message.seqs)
        in_log = self._in_log.get((message.topic, message.name))
        return min(message.received, default=None) if in_log is None else in_log

    def existences(self, topic: str) -> Sequence[Existence]:
        """Return when each seq of ``topic`` came to be, ascending, up to its last.

        A seq that retention removed may be of any message whose outcome nobody knows: the first of such seqs is not
        older than the first of such messages, and so on. One that is of no message has :data:`NEVER`.
        """
        placed: dict[int, Message] = {}
        unplaced: list[float] = []
        for message in self.messages.values():
            if message.topic != topic or not message.possible:
                continue
            if (seq := self.seq_of(message)) is None:
                unplaced.append(message.started)
            else:
                placed[seq] = message
        unplaced.sort(reverse=True)
        log, last = self.logs.get(topic), self.last_seq(topic)
        found = []
        for seq in range(1, max(last, *placed, 0) + 1):
            read = log.at if log is not None and seq <= last else NEVER
            known = min(read, self._seen.get((topic, seq), NEVER))
            if (owner := placed.get(seq)) is not None:
                found.append(Existence(seq, owner.started, min(known, owner.answered)))
            else:
                found.append(Existence(seq, unplaced.pop() if unplaced else NEVER, known))
        return found

    def last_seq(self, topic: str) -> int:
        """Return the topic's last seq at the end."""
        return self.logs[topic].last_seq if topic in self.logs else 0

    def first_seq(self, topic: str) -> int:
        """Return the oldest seq that the log has at the end; the one after its last if it is empty."""
        log = self.logs.get(topic)
        return log.items[0][0] if log is not None and log.items else self.last_seq(topic) + 1

    @property
    def clocks_jumped(self) -> bool:
        """Whether a clock was set: due times are then by another clock than the history's."""
        return any(span.fault == "clock" for span in self.of(FaultSpan))


def _by_user_and_topic(events: Iterable[U]) -> Mapping[tuple[str, str], list[U]]:
    groups: defaultdict[tuple[str, str], list[U]] = defaultdict(list)
    for event in events:
        groups[event.user, event.topic].append(event)
    return groups
