"""Emails: none for what was acknowledged before it was due, none missing, none with two ids. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from chaos.histories.events import Ack, LedgerRead, Mail
from chaos.histories.facts import Facts, Violation

LATEST = 25.0
"""Seconds after an acknowledgement in which an email may still arrive: it was being sent (a request has 20 s)."""


def _acks_of(facts: Facts, user: str, topic: str, seq: int) -> list[Ack]:
    acks = facts.acks.get((user, topic), ())
    return [one for one in acks if one.outcome != "refused" and (seq <= (one.up_to or 0) or seq in one.seqs)]


def none_missing(facts: Facts) -> Iterator[Violation]:
    """What nobody tried to acknowledge, and the log still has, was mailed."""
    mailed = {(mail.user, mail.topic, mail.message) for mail in facts.of(Mail)}
    for subscription in facts.subscriptions.values():
        if subscription.email == "never" or subscription.topic not in facts.logs:
            continue
        user, topic = subscription.user, subscription.topic
        for seq, message in facts.logs[topic].items:
            if (user, topic, message) not in mailed and not _acks_of(facts, user, topic, seq):
                yield Violation("email is missing", f"{user} was not mailed {message}, {seq} of {topic}")


def none_in_vain(facts: Facts) -> Iterator[Violation]:
    """Nothing is mailed that was acknowledged before it was due, or long before."""
    for mail in facts.of(Mail):
        subscription = facts.subscriptions.get((mail.user, mail.topic))
        message = facts.messages.get(mail.message)
        if subscription is None or message is None or (seq := facts.seq_of(message)) is None:
            continue
        acked = min(
            (one.at for one in _acks_of(facts, mail.user, mail.topic, seq) if one.outcome == "ok"), default=None
        )
        if acked is None:
            continue
        due = message.started + subscription.delay
        if subscription.email == "unread" and acked < due and not facts.clocks_jumped:
            yield Violation(
                "mailed what was acknowledged",
                f"{mail.user} acknowledged {mail.message} at {acked:.2f}, {due - acked:.2f} s before it was due",
            )
        elif mail.at > acked + LATEST:
            yield Violation(
                "mailed what was acknowledged",
                f"{mail.user} was mailed {mail.message} {mail.at - acked:.0f} s after that",
            )


def only_to_subscribers(facts: Facts) -> Iterator[Violation]:
    """Only who subscribed with email is mailed, and only what was published there."""
    for mail in facts.of(Mail):
        subscription = facts.subscriptions.get((mail.user, mail.topic))
        message = facts.messages.get(mail.message)
        if subscription is None or subscription.email == "never":
            yield Violation("mailed without a subscription", f"{mail.user} was mailed {mail.message} of {mail.topic}")
        if message is None or message.topic != mail.topic:
            yield Violation("never published", f"{mail.user} was mailed {mail.message!r} of {mail.topic}")
        elif not message.possible:
            yield Violation("refused and mailed", f"{mail.user} was mailed {mail.message}")


def one_id_each(facts: Facts) -> Iterator[Violation]:
    """An email that arrives twice has one Message-ID, and no two emails have the same."""
    ids: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    owners: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for mail in facts.of(Mail):
        what = (mail.user, mail.topic, mail.message)
        ids[what].add(mail.message_id)
        owners[mail.message_id].add(what)
    for (user, topic, message), found in ids.items():
        if len(found) > 1:
            yield Violation("two ids", f"{user} was mailed {message} of {topic} as {sorted(found)}")
    for found_id, mails in owners.items():
        if len(mails) > 1:
            yield Violation("one id for two emails", f"{found_id} is {sorted(mails)}")


def sent_has_arrived(facts: Facts) -> Iterator[Violation]:
    """As many different emails arrived as the ledger calls sent."""
    ledgers = list(facts.of(LedgerRead))
    if ledgers:
        sent = ledgers[-1].sent - facts.began.mails_sent
        arrived = len({mail.message_id for mail in facts.of(Mail)})
        if sent > arrived:
            yield Violation("sent and not arrived", f"{sent} emails are recorded as sent, and {arrived} arrived")
