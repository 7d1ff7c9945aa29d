"""The ledger balances, and has the numbers that the history proves. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.histories.events import LedgerRead
from chaos.histories.facts import Facts, Violation


def balances(facts: Facts) -> Iterator[Violation]:
    """Each read of the ledger balances."""
    for read in facts.of(LedgerRead):
        if not read.balanced:
            yield Violation("ledger does not balance", f"at {read.at:.2f}")
        for row in read.topics:
            if row.due != row.acked + row.pending + row.expired + row.withdrawn or min(row.due, row.pending) < 0:
                yield Violation("ledger does not balance", f"{row.topic} at {read.at:.2f}: {row.model_dump()}")


def has_the_numbers(facts: Facts) -> Iterator[Violation]:
    """At the end the ledger says what log and readers say, and no email is left."""
    reads = list(facts.of(LedgerRead))
    if not reads:
        return
    last = reads[-1]
    if last.mails_pending or last.dead:
        yield Violation("emails are left", f"{last.mails_pending} are pending, {last.dead} are dead")
    rows = {row.topic: row for row in last.topics}
    for topic in facts.logs:
        users = [user for user, name in facts.subscriptions if name == topic]
        if not users:
            continue
        row = rows.get(topic)
        due = len(users) * facts.last_seq(topic)
        if row is None:
            if due:
                yield Violation("ledger has another number", f"{topic} is missing")
            continue
        if row.due != due:
            yield Violation("ledger has another number", f"{topic}: due {row.due}, and {due} are")
        reads_of = [facts.reads[user, topic][-1] for user in users if facts.reads.get((user, topic))]
        unread = sum(one.unread for one in reads_of)
        if len(reads_of) == len(users) and row.pending != unread:
            yield Violation("ledger has another number", f"{topic}: pending {row.pending}, readers were told {unread}")
