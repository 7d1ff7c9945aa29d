"""Acknowledgements never go back, and devices are told of them. Pure.

An acknowledgement without an answer may have happened or not, and may still happen until the end of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.histories.events import Ack, AckPush, Join, Leave, UnreadRead
from chaos.histories.facts import Facts, Violation


def never_back(facts: Facts) -> Iterator[Violation]:
    """A position read after another was known is not before it, nor before what was acknowledged by then."""
    for user, topic in {*facts.acks, *facts.reads}:
        seen: list[tuple[float, int]] = []
        asked: list[tuple[float, int, str]] = []
        for ack in facts.acks.get((user, topic), ()):
            if ack.outcome == "ok":
                seen.append((ack.at, max(ack.acked_up_to, ack.up_to or 0)))
                asked.append((ack.started, ack.acked_up_to, f"an acknowledgement of {ack.device}"))
        for read in facts.reads.get((user, topic), ()):
            seen.append((read.at, read.acked_up_to))
            asked.append((read.started, read.acked_up_to, "a read"))
        for join in facts.of(Join):
            if (join.user, join.topic) == (user, topic):
                seen.append((join.at, join.acked_up_to))
                asked.append((join.started, join.acked_up_to, f"the join of {join.client}"))
        seen.sort()
        at, known = 0, 0
        for started, position, what in sorted(asked):
            while at < len(seen) and seen[at][0] < started:
                known = max(known, seen[at][1])
                at += 1
            if position < known:
                yield Violation(
                    "acknowledgement went back", f"{what} of {user} in {topic} said {position} after {known}"
                )


def pushes_never_back(facts: Facts) -> Iterator[Violation]:
    """What one connection of a device is told never goes back either."""
    known: dict[tuple[str, str], int] = {}
    for event in facts.history:
        if isinstance(event, Join):
            known[event.client, event.topic] = event.acked_up_to
        elif isinstance(event, Leave):
            known.pop((event.client, event.topic), None)
        elif isinstance(event, AckPush):
            before = known.get((event.client, event.topic), 0)
            if event.up_to < before:
                yield Violation(
                    "acknowledgement went back",
                    f"{event.client} was told {event.up_to} of {event.topic} after {before}",
                )
            known[event.client, event.topic] = event.up_to


def told_at_the_end(facts: Facts) -> Iterator[Violation]:
    """Each client that is connected at the end was told the position that its user has then."""
    told: dict[tuple[str, str], tuple[str, int]] = {}
    for event in facts.history:
        if isinstance(event, Join):
            told[event.client, event.topic] = (event.user, event.acked_up_to)
        elif isinstance(event, AckPush):
            told[event.client, event.topic] = (event.user, event.up_to)
        elif isinstance(event, Leave):
            told.pop((event.client, event.topic), None)
        elif isinstance(event, Ack) and event.outcome == "ok" and (event.device, event.topic) in told:
            known = told[event.device, event.topic][1]
            told[event.device, event.topic] = (event.user, max(known, event.acked_up_to))
    for (client, topic), (user, position) in told.items():
        reads = facts.reads.get((user, topic))
        if reads and reads[-1].acked_up_to != position:
            yield Violation(
                "device was not told", f"{client} was told {position} of {topic}; {user} is at {reads[-1].acked_up_to}"
            )


def final_position(facts: Facts) -> Iterator[Violation]:
    """The last read of each subscription says what the log and the acknowledgements leave unread."""
    for user, topic in facts.subscriptions:
        reads: Sequence[UnreadRead] = facts.reads.get((user, topic), ())
        if facts.logs and not reads:
            yield Violation("unread was not read", f"{user} did not read the position in {topic} at the end")
        if reads and topic in facts.logs and reads[-1].acked_up_to > facts.last_seq(topic):
            yield Violation("acknowledged what does not exist", f"{user} is at {reads[-1].acked_up_to} of {topic}")
