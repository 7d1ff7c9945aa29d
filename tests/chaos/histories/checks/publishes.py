"""What was acknowledged is in the log, once, in order; what is in the log was published. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from chaos.histories.facts import NEVER, Facts, Message, Violation


def one_seq_each(facts: Facts) -> Iterator[Violation]:
    """Each message has one seq, whatever was retried, and each seq one message; who received it says so too."""
    owners: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for message in facts.messages.values():
        seqs = message.seqs | message.received
        if len(seqs) > 1:
            yield Violation("doubled", f"{message.name} was told as {sorted(seqs)} of {message.topic}")
        for seq in seqs:
            owners[message.topic, seq].add(message.name)
    for (topic, seq), names in owners.items():
        if len(names) > 1:
            yield Violation("two messages with one seq", f"{sorted(names)} were told as {seq} of {topic}")


def log_is_whole(facts: Facts) -> Iterator[Violation]:
    """The log has no hole, each message once, and the newest that retention allows."""
    for topic, log in facts.logs.items():
        seqs = [seq for seq, _ in log.items]
        limit = facts.topics[topic].max_count
        expected = list(range(log.last_seq - len(seqs) + 1, log.last_seq + 1))
        if seqs != expected:
            holes = sorted(set(expected) - set(seqs))
            yield Violation("log with holes", f"{topic} ends at {log.last_seq} and lacks {holes[:10]}")
        if limit is None and seqs and seqs[0] != 1:
            yield Violation("removed without a reason", f"{topic} begins at {seqs[0]}, and nothing limits its log")
        if limit is not None and len(seqs) < min(limit, log.last_seq):
            yield Violation("removed without a reason", f"{topic} has {len(seqs)}, and {limit} may stay")
        for name, count in Counter(name for _, name in log.items).items():
            if count > 1:
                yield Violation("doubled", f"{name} is {count} times in the log of {topic}")


def acknowledged_is_kept(facts: Facts) -> Iterator[Violation]:
    """What was acknowledged is in the log at its seq, unless retention removed that."""
    for topic, log in facts.logs.items():
        by_seq = dict(log.items)
        first = facts.first_seq(topic)
        for message in facts.messages.values():
            if message.topic != topic:
                continue
            for seq in message.seqs:
                if seq > log.last_seq or (seq >= first and by_seq.get(seq) != message.name):
                    found = by_seq.get(seq, "nothing")
                    yield Violation("lost", f"{message.name} was acknowledged as {seq} of {topic}; there is {found}")


def nothing_invented(facts: Facts) -> Iterator[Violation]:
    """The log has nothing that was not published, and nothing that was refused."""
    for topic, log in facts.logs.items():
        for seq, name in log.items:
            message = facts.messages.get(name)
            if message is None or message.topic != topic:
                yield Violation("never published", f"{seq} of {topic} is {name!r}")
            elif not message.possible:
                yield Violation("refused and kept", f"{name} was refused each time, and is {seq} of {topic}")
        for one in facts.existences(topic):
            if one.begun == NEVER:
                yield Violation("never published", f"{one.seq} of {topic} is of no message that was published")


def real_time_order(facts: Facts) -> Iterator[Violation]:
    """What was tried only after another was acknowledged comes after it."""
    topics: defaultdict[str, list[tuple[int, Message]]] = defaultdict(list)
    for message in facts.messages.values():
        if (seq := facts.seq_of(message)) is not None:
            topics[message.topic].append((seq, message))
    for topic, messages in topics.items():
        earliest, which = NEVER, ""
        for seq, message in sorted(messages, key=lambda one: one[0], reverse=True):
            if message.started > earliest:
                yield Violation(
                    "out of order",
                    f"{message.name} is {seq} of {topic}, before {which}, which was acknowledged before it was tried",
                )
            if message.answered < earliest:
                earliest, which = message.answered, message.name


def order_of_a_connection(facts: Facts) -> Iterator[Violation]:
    """What one connection sent one after the other, each answered at the first attempt, has that order."""
    sent: defaultdict[tuple[str, str], list[tuple[float, int, str]]] = defaultdict(list)
    for message in facts.messages.values():
        first = message.attempts[0]
        if len(message.attempts) == 1 and first.outcome == "ok" and first.connection and first.seq is not None:
            sent[first.connection, message.topic].append((first.started, first.seq, message.name))
    for (connection, topic), messages in sent.items():
        messages.sort()
        for (_, before, one), (_, after, other) in pairwise(messages):
            if after < before:
                yield Violation(
                    "out of order", f"{connection} sent {one} before {other}, which are {before} and {after} of {topic}"
                )
