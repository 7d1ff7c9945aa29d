"""What is unread is exact, whoever is told it. Pure.

A log has no holes, so what exists at any time is all up to a head. A number is of a time between the request and its
answer; how much later it was read says nothing about it. Where retention removes, what is unread and what expired are
one sum, and nobody acknowledges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.histories.events import Ack, AckPush, Join, Receive, UnreadRead
from chaos.histories.facts import Existence, Facts, Violation


@dataclass(frozen=True, slots=True)
class _Count:
    """A number that a user was told: of a time from ``started`` to ``at``, when the cursor was ``cursor``.

    ``head``: the end of the log that was told with it. ``own``: the acknowledgement that was answered with it.
    ``sent``: the newest seq that its client had received.
    """

    what: str
    told: int
    cursor: int
    started: float
    at: float
    head: int | None = None
    own: Ack | None = None
    sent: int = 0


def unread_exact(facts: Facts) -> Iterator[Violation]:
    """Each unread count is one that the operations around it allow; at the end that is a single number."""
    for user, topic in facts.subscriptions:
        log = facts.existences(topic)
        acks = facts.acks.get((user, topic), [])
        answers = list(_answers(facts, user, topic))
        for count in (*answers, *_pushes(facts, user, topic, answers)):
            least, most = _bounds(log, acks, count)
            if not least <= count.told <= most:
                yield Violation(
                    "unread is wrong",
                    f"{count.what} of {user} in {topic} at {count.at:.2f} said {count.told}; between {least} and "
                    f"{most} are",
                )


def _answers(facts: Facts, user: str, topic: str) -> Iterator[_Count]:
    for event in facts.history:
        if not isinstance(event, Ack | Join | UnreadRead) or (event.user, event.topic) != (user, topic):
            continue
        told = event.unread + event.expired
        match event:
            case Join():
                what = f"the join of {event.client}"
                yield _Count(what, told, event.acked_up_to, event.started, event.at, head=event.last_seq)
            case UnreadRead():
                yield _Count("a read", told, event.acked_up_to, event.started, event.at)
            case Ack(outcome="ok"):
                what = f"an acknowledgement of {event.device}"
                yield _Count(what, told, event.acked_up_to, event.started, event.at, own=event)


def _pushes(facts: Facts, user: str, topic: str, answers: Sequence[_Count]) -> Iterator[_Count]:
    """Yield what was pushed: it is younger than the connection's join, and than the acknowledgement of its cursor.

    A cursor only grows, so it is also younger than what was answered with a smaller one, and older than with a larger.
    What its client has received since the position was read counts, too: an acknowledgement in between is pushed next.
    """
    acks = facts.acks.get((user, topic), [])
    joined: dict[str, float] = {}
    sent: dict[str, int] = {}
    for event in facts.history:
        if isinstance(event, Receive) and event.topic == topic:
            sent[event.client] = max(sent.get(event.client, 0), event.seq)
        if not isinstance(event, Join | AckPush) or (event.user, event.topic) != (user, topic):
            continue
        if isinstance(event, Join):
            joined[event.client] = event.started
            continue
        cursor = event.up_to
        acked = min((one.started for one in acks if 0 < cursor <= (one.up_to or 0) or cursor in one.seqs), default=0.0)
        yield _Count(
            f"a push to {event.client}",
            event.unread + event.expired,
            cursor,
            max([joined.get(event.client, 0.0), acked, *(one.started for one in answers if one.cursor < cursor)]),
            min([event.at, *(one.at for one in answers if one.cursor > cursor)]),
            sent=sent.get(event.client, 0),
        )


def _bounds(log: Sequence[Existence], acks: Sequence[Ack], count: _Count) -> tuple[int, int]:
    """Return the fewest and the most that may be unread."""
    surely = max((one.seq for one in log if one.known < count.started), default=0)
    perhaps = next((one.seq - 1 for one in log if one.begun >= count.at), len(log))
    perhaps = max(perhaps, count.sent)
    if count.head is not None:
        surely = perhaps = count.head
    acked = [one for one in acks if one.outcome == "ok" and (one.at < count.started or one is count.own)]
    may_be_acked = [
        one for one in acks if one.outcome != "refused" and one.started < count.at and (one.up_to or 0) <= count.cursor
    ]
    return surely - _covered(surely, may_be_acked), perhaps - _covered(perhaps, acked, count.cursor)


def _covered(head: int, acks: Sequence[Ack], cursor: int = 0) -> int:
    """Return how many up to ``head`` are acknowledged by ``acks`` or by the cursor."""
    up_to = min(head, max([cursor, *(ack.up_to or 0 for ack in acks)]))
    single = {seq for ack in acks for seq in ack.seqs if up_to < seq <= head}
    return up_to + len(single)
