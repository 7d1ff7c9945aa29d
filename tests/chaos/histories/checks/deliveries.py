"""Each client receives all that follows its position, once and in order, or is told of the gap. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from chaos.histories.events import Join, Leave, Missed, Receive
from chaos.histories.facts import Facts, Violation


def once_and_in_order(facts: Facts) -> Iterator[Violation]:
    """From its first join on, each client's position grows one by one; only a gap that was told lets it jump.

    It is told by the join, or before the notifications that follow it: who has these knows of it, whatever breaks.
    """
    positions: dict[tuple[str, str], int] = {}
    told: dict[tuple[str, str], int] = {}
    skipped: list[tuple[str, str, int, int]] = []
    for event in facts.history:
        if isinstance(event, Join):
            told.pop((event.client, event.topic), None)
            yield from _joined(event, positions)
        elif isinstance(event, Missed):
            skipped.append((event.client, event.topic, positions.get((event.client, event.topic), 0), event.up_to))
            yield from _missed(event, positions, told)
        elif isinstance(event, Receive):
            position = positions.get((event.client, event.topic))
            gap = event.seq - (position or 0) - 1
            if position is not None and 0 < gap <= told.get((event.client, event.topic), 0):
                told[event.client, event.topic] -= gap
                skipped.append((event.client, event.topic, position, event.seq - 1))
                position += gap
            if position is None:
                yield Violation("received before a join", f"{event.client} received {event.seq} of {event.topic}")
            elif event.seq <= position:
                yield Violation(
                    "delivered twice", f"{event.client} received {event.seq} of {event.topic} after {position}"
                )
            elif event.seq > position + 1:
                yield Violation(
                    "gap that was not told", f"{event.client} received {event.seq} of {event.topic} after {position}"
                )
            positions[event.client, event.topic] = max(position or 0, event.seq)
    logs = {topic: dict(log.items) for topic, log in facts.logs.items()}
    for client, topic, after, up_to in skipped:
        if there := [seq for seq in range(after + 1, up_to + 1) if seq in logs.get(topic, {})]:
            yield Violation("not delivered", f"{client} was told that {there} of {topic} are missing; the log has them")
    final = {(event.client, event.topic) for event in facts.of(Leave) if event.final}
    for (client, topic), position in positions.items():
        if (client, topic) not in final and position < facts.last_seq(topic):
            yield Violation(
                "not delivered", f"{client} is at {position} of {topic}, which ends at {facts.last_seq(topic)}"
            )


def _joined(join: Join, positions: dict[tuple[str, str], int]) -> Iterator[Violation]:
    key = (join.client, join.topic)
    if join.since is None:
        positions[key] = join.last_seq
        return
    if join.since > join.last_seq:
        yield Violation(
            "log went back", f"{join.client} joined {join.topic} after {join.since}; it ends at {join.last_seq}"
        )
    removed = max(0, min(join.first_seq, join.last_seq + 1) - 1 - join.since)
    if join.missing != removed or join.truncated != (removed > 0):
        yield Violation(
            "gap told wrongly",
            f"{join.client} joined {join.topic} after {join.since}, which begins at {join.first_seq}: missing "
            f"{join.missing}, truncated {join.truncated}",
        )
    positions[key] = join.since + removed


def _missed(
    event: Missed, positions: dict[tuple[str, str], int], told: dict[tuple[str, str], int]
) -> Iterator[Violation]:
    """Move on to where nothing comes any more; what is told beyond that is missing among what comes next."""
    key = (event.client, event.topic)
    gap = event.up_to - positions.get(key, event.up_to + 1)
    if gap < 0 or event.missing < max(gap, 1) or told.get(key):
        yield Violation(
            "gap told wrongly",
            f"{event.client} was told at {positions.get(key)} of {event.topic} that {event.missing} are missing, up to "
            f"{event.up_to}",
        )
    positions[key], told[key] = max(event.up_to, positions.get(key, 0)), max(0, event.missing - gap)


def joins_see_what_was_acknowledged(facts: Facts) -> Iterator[Violation]:
    """The head that a join is told is at least what was acknowledged before it began."""
    acknowledged: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for message in facts.messages.values():
        for attempt in message.attempts:
            if attempt.seq is not None:
                acknowledged[message.topic].append((attempt.at, attempt.seq))
    for topic, answers in acknowledged.items():
        answers.sort()
        at, head = 0, 0
        for join in sorted((one for one in facts.of(Join) if one.topic == topic), key=lambda one: one.started):
            while at < len(answers) and answers[at][0] < join.started:
                head = max(head, answers[at][1])
                at += 1
            if join.last_seq < head:
                yield Violation(
                    "old answer", f"{join.client} joined {topic} at {join.last_seq} after {head} was acknowledged"
                )


def what_was_published(facts: Facts) -> Iterator[Violation]:
    """What is received was published, not refused, not before it was tried, and is what the log has."""
    logs = {topic: dict(log.items) for topic, log in facts.logs.items()}
    acknowledged = {(one.topic, seq): one.name for one in facts.messages.values() for seq in one.seqs}
    for event in facts.of(Receive):
        message = facts.messages.get(event.message)
        where = f"{event.client} received {event.message!r} as {event.seq} of {event.topic}"
        if message is None or message.topic != event.topic:
            yield Violation("never published", where)
        elif not message.possible:
            yield Violation("refused and delivered", where)
        elif event.at < message.started:
            yield Violation("received before it was published", where)
        expected = acknowledged.get((event.topic, event.seq)) or logs.get(event.topic, {}).get(event.seq)
        if expected is not None and expected != event.message:
            yield Violation("another message", f"{where}, which is {expected!r}")


def only_to_readers(facts: Facts) -> Iterator[Violation]:
    """Only who may read a topic joins it, and receives of it."""
    users: dict[str, str] = {}
    for event in facts.history:
        if isinstance(event, Join):
            users[event.client] = event.user
            readers = facts.topics[event.topic].readers
            if readers is not None and event.user not in readers:
                yield Violation("not entitled", f"{event.user} joined {event.topic}")
        elif isinstance(event, Receive):
            readers = facts.topics[event.topic].readers
            if readers is not None and users.get(event.client) not in readers:
                yield Violation("not entitled", f"{event.client} received {event.seq} of {event.topic}")
