"""What a history is checked for: the rules of :mod:`chaos.histories`, and those that only exact time can prove."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.histories import checker
from chaos.histories.checks import availability
from chaos.histories.events import Ack, Mail
from chaos.histories.facts import Facts, Violation
from simulation.world import History

LATEST = 4.0
"""Seconds after an acknowledgement in which an email may still arrive: its confirmation was on its way to a mailer."""

ELSEWHERE = (availability.publishes_go_on,)
"""Rules that need spans of faults, which simulated histories have not."""


def check(history: History) -> list[Violation]:
    """Return what is broken in ``history``."""
    facts = Facts(history.events)
    found = [violation for rule in checker.RULES if rule not in ELSEWHERE for violation in rule(facts)]
    found += mailed_late(facts)
    found += mailed_without_asking(facts, history)
    return found + [Violation("error", problem) for problem in history.problems]


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
