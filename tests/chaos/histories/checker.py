"""Proves from a history that the promise was kept, or says what was broken. Pure: what it knows is in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from chaos.histories.checks import acknowledgements, availability, deliveries, ledger, mails, publishes, unread
from chaos.histories.events import Event, Intrusion, Settled, SignedOut
from chaos.histories.facts import Facts, Violation

Rule = Callable[[Facts], Iterator[Violation]]


def settled(facts: Facts) -> Iterator[Violation]:
    """What was to come after the faults came in time, and the history was recorded to its end."""
    ends = list(facts.of(Settled))
    if not ends:
        yield Violation("not recorded", "the history has no end")
    for end in ends:
        for what in end.waiting_for:
            yield Violation("did not recover", what)


def nobody_signed_out(facts: Facts) -> Iterator[Violation]:
    """No session ends by a fault."""
    for event in facts.of(SignedOut):
        yield Violation("signed out", f"{event.user} at {event.at:.2f}: {event.code}")


def nobody_intruded(facts: Facts) -> Iterator[Violation]:
    """A key opens what its owner may read, and nothing else."""
    for event in facts.of(Intrusion):
        yield Violation("not entitled", f"{event.user} read {event.topic} at {event.at:.2f}")


RULES: Sequence[Rule] = (
    publishes.one_seq_each,
    publishes.log_is_whole,
    publishes.acknowledged_is_kept,
    publishes.nothing_invented,
    publishes.real_time_order,
    publishes.order_of_a_connection,
    availability.publishes_go_on,
    deliveries.once_and_in_order,
    deliveries.joins_see_what_was_acknowledged,
    deliveries.what_was_published,
    deliveries.only_to_readers,
    acknowledgements.never_back,
    acknowledgements.pushes_never_back,
    acknowledgements.told_at_the_end,
    unread.unread_exact,
    acknowledgements.final_position,
    mails.none_missing,
    mails.none_in_vain,
    mails.only_to_subscribers,
    mails.one_id_each,
    mails.sent_has_arrived,
    ledger.balances,
    ledger.has_the_numbers,
    nobody_signed_out,
    nobody_intruded,
    settled,
)

MOST = 20
"""Violations of one rule that are reported."""


def check(history: Sequence[Event]) -> list[Violation]:
    """Return what is broken in ``history``, by rule; nothing if the promise was kept."""
    facts = Facts(history)
    return [violation for rule in RULES for violation in islice(rule(facts), MOST)]
