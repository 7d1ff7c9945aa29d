"""What a history is checked for: the rules of :mod:`chaos.histories`, and those that only exact time can prove."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.histories import checker
from chaos.histories.checks import availability, deliveries
from chaos.histories.events import Ack, Mail
from chaos.histories.facts import Facts, Violation
from simulation.world import History

LATEST = 4.0
"""Seconds after an acknowledgement in which an email may still arrive: its confirmation was on its way to a mailer."""

GAP = "gap that was not told"

ELSEWHERE = (deliveries.once_and_in_order, availability.publishes_go_on)
"""Rules that are replaced below, or need spans of faults, which simulated histories have not."""


def check(history: History) -> list[Violation]:
    """Return what is broken in ``history``."""
    facts = Facts(history.events)
    found = [violation for rule in checker.RULES if rule not in ELSEWHERE for violation in rule(facts)]
    found += once_and_in_order(facts, history)
    found += mailed_late(facts)
    found += mailed_without_asking(facts, history)
    return found + [Violation("error", problem) for problem in history.problems]


def once_and_in_order(facts: Facts, history: History) -> Iterator[Violation]:
    """Each client receives all that follows its position, but for what retention had removed by then.

    Who is live is not told of that by a message: the seqs show it.
    """
    removed = {one.name: 0 for one in history.plan.topics}
    ends = iter(history.removed)
    following = next(ends, None)
    lost: dict[tuple[str, str, int], int] = {}
    for event in history.events:
        while following is not None and following[0] <= event.at:
            removed[following[1]] = following[2]
            following = next(ends, None)
        if event.kind == "receive":
            lost[event.client, event.topic, event.seq] = removed[event.topic]
    for violation in deliveries.once_and_in_order(facts):
        if violation.rule != GAP or not _explained(violation.sentence, lost):
            yield violation


def _explained(sentence: str, lost: dict[tuple[str, str, int], int]) -> bool:
    client, _, seq, _, topic, _, _ = sentence.split(" ")
    return lost[client, topic, int(seq)] >= int(seq) - 1


def mailed_late(facts: Facts) -> Iterator[Violation]:
    """Nothing is mailed that was acknowledged some time before: each email is confirmed right before it is sent."""
    for mail in facts.of(Mail):
        message = facts.messages.get(mail.message)
        seq = facts.seq_of(message) if message is not None else None
        for ack in facts.acks.get((mail.user, mail.topic), ()):
            if seq is not None and ack.outcome == "ok" and _covers(ack, seq) and mail.at > ack.at + LATEST:
                late = mail.at - ack.at
                yield Violation(
                    "mailed what was acknowledged", f"{mail.user} was mailed {mail.message} {late:.1f} s after that"
                )


def mailed_without_asking(facts: Facts, history: History) -> Iterator[Violation]:
    """The store was asked before an email was sent."""
    for mail in facts.of(Mail):
        if mail.message_id not in history.confirmed:
            yield Violation("mailed without confirmation", f"{mail.user} was mailed {mail.message}")


def _covers(ack: Ack, seq: int) -> bool:
    return seq <= (ack.up_to or 0) or seq in ack.seqs
