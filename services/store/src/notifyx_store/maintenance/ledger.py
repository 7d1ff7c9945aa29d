"""The ledger: each due notification is exactly one of acknowledged, pending, expired or withdrawn.

For every lasting subscription, also an ended one::

    coalesce(end_seq, last_seq) - first_seq + 1  =  acked_total + pending + expired_total + withdrawn_total

The sides have different sources: the left is the topic's sequence, ``pending`` is counted in the log,
``acked_total`` was counted when rows were acknowledged, ``expired_total`` when they were removed,
``withdrawn_total`` when the subscription ended. For email, the number of all rows ever
written to the outbox is compared with the states of its rows and the totals of the deleted ones.

Seqs that a restore has passed over (``log_gaps``) are of no notification. Totals have them as expired, and both sides
are read without them.

Each read is one snapshot, so concurrent work cannot look like an imbalance. Topics being deleted are left out: the
purge removes their rows in several transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from notifyx_common.contracts.store.ledger import EmailLedger, Ledger, LedgerRow
from notifyx_store.topics.gaps import in_gaps

TOPICS_PER_READ = 200
"""Number of topics whose ledger one statement reads."""

LEDGER_STATEMENT_TIMEOUT = 60
"""Timeout of one statement that reads the ledger, in seconds: it may have to count many rows."""

_LONG_TIMEOUT = f"SET LOCAL statement_timeout = '{LEDGER_STATEMENT_TIMEOUT}s'"

_NEXT_TOPICS = "SELECT id FROM topics WHERE id > $1 AND kind <> 'deleted' ORDER BY id LIMIT $2"

# The log is read once for a whole topic, not once for each subscription: how many rows lie between a subscription's
# cursor and the next higher one, summed from the top (of equal cursors, all but the last have nothing between).
# Acknowledged ones above a cursor are taken off.
_LEDGER = f"""
WITH subs AS (
    SELECT s.id, s.topic_id, s.first_seq, s.acked_total, s.expired_total - passed.n AS expired_total,
           s.withdrawn_total, s.ended_at, coalesce(s.end_seq, t.last_seq) - s.first_seq + 1 - passed.n AS due,
           CASE WHEN s.ended_at IS NULL THEN greatest(s.acked_up_to, s.first_seq - 1) END AS cursor
    FROM subscriptions s JOIN topics t ON t.id = s.topic_id
    CROSS JOIN LATERAL (
        SELECT {in_gaps("t.id", "s.first_seq", "coalesce(s.end_seq, t.last_seq)")} AS n) AS passed
    WHERE s.lasting AND s.topic_id = ANY($1::uuid[]) AND t.kind <> 'deleted'
), ranges AS (
    SELECT subs.*, coalesce(lead(cursor) OVER (PARTITION BY topic_id ORDER BY cursor, id),
                            CASE WHEN cursor IS NOT NULL THEN 9223372036854775807 END) AS next
    FROM subs
), counted AS MATERIALIZED (
    SELECT r.*, between_cursors.n AS between_cursors,
           (SELECT count(*) FROM ack_exceptions e JOIN notifications n ON n.topic_id = r.topic_id AND n.seq = e.seq
            WHERE e.subscription_id = r.id AND e.seq > r.cursor) AS excepted
    FROM ranges r CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM notifications n
        WHERE n.topic_id = r.topic_id AND n.seq > r.cursor AND n.seq <= r.next) AS between_cursors
), ledger AS (
    SELECT c.topic_id, c.ended_at, c.due, c.acked_total, c.expired_total, c.withdrawn_total,
           CASE WHEN c.cursor IS NULL THEN 0
                ELSE sum(c.between_cursors) OVER (PARTITION BY c.topic_id ORDER BY c.cursor DESC NULLS LAST, c.id DESC
                                                  ROWS UNBOUNDED PRECEDING) - c.excepted END AS pending
    FROM counted c
)
SELECT t.id, t.name, sum(b.due)::bigint AS due, sum(b.acked_total)::bigint AS acked,
       sum(b.pending)::bigint AS pending, sum(b.expired_total)::bigint AS expired,
       sum(b.withdrawn_total)::bigint AS withdrawn,
       count(*) FILTER (WHERE b.ended_at IS NULL) AS subscribers,
       count(*) FILTER (WHERE b.pending < 0
           OR b.due <> b.acked_total + b.pending + b.expired_total + b.withdrawn_total) AS unbalanced
FROM ledger b JOIN topics t ON t.id = b.topic_id
GROUP BY t.id, t.name ORDER BY t.id
"""  # noqa: S608 - put together from constants

_EMAIL = """
SELECT totals.due, totals.sent + rows.sent AS sent, totals.fenced + rows.fenced AS fenced, rows.pending,
       totals.dead + rows.dead AS dead, rows.waiting, rows.waiting_due, rows.leased, rows.oldest
FROM (SELECT coalesce(sum(due), 0)::bigint AS due, coalesce(sum(sent), 0)::bigint AS sent,
             coalesce(sum(fenced), 0)::bigint AS fenced, coalesce(sum(dead), 0)::bigint AS dead
      FROM outbox_books WHERE topic_id NOT IN (SELECT id FROM topics WHERE kind = 'deleted')) AS totals,
     (SELECT count(*) FILTER (WHERE state = 'sent') AS sent, count(*) FILTER (WHERE state = 'fenced') AS fenced,
             count(*) FILTER (WHERE state = 'dead') AS dead,
             count(*) FILTER (WHERE state IN ('pending', 'leased')) AS pending,
             count(*) FILTER (WHERE state = 'pending') AS waiting,
             count(*) FILTER (WHERE state = 'pending' AND due_at <= $1) AS waiting_due,
             count(*) FILTER (WHERE state = 'leased') AS leased,
             min(due_at) FILTER (WHERE state IN ('pending', 'leased') AND due_at <= $1) AS oldest
      FROM outbox WHERE topic_id NOT IN (SELECT id FROM topics WHERE kind = 'deleted')) AS rows
"""


@dataclass(frozen=True, slots=True)
class TopicLedger:
    """One topic's sums, and the number of its subscriptions that do not balance (sums could hide them)."""

    topic_id: UUID
    row: LedgerRow
    subscribers: int
    unbalanced: int


@dataclass(frozen=True, slots=True)
class EmailLedgerState:
    """The email ledger, and the numbers of pending mails (``waiting``), of those that are due, and of leased mails."""

    ledger: EmailLedger
    waiting: int
    waiting_due: int
    leased: int
    oldest_due_seconds: float

    @property
    def balanced(self) -> bool:
        """Return whether every mail that was ever due is accounted for."""
        ledger = self.ledger
        return ledger.due == ledger.sent + ledger.fenced + ledger.pending + ledger.dead


async def topic_ledgers(connection: asyncpg.Connection, topics: Sequence[UUID]) -> list[TopicLedger]:
    """Return the ledgers of ``topics``, by id; a topic that never had a subscriber has none."""
    async with connection.transaction(readonly=True):
        await connection.execute(_LONG_TIMEOUT)
        rows = await connection.fetch(_LEDGER, topics, timeout=LEDGER_STATEMENT_TIMEOUT)
    return [
        TopicLedger(
            topic_id=row["id"],
            row=LedgerRow(
                topic=row["name"],
                due=row["due"],
                acked=row["acked"],
                pending=row["pending"],
                expired=row["expired"],
                withdrawn=row["withdrawn"],
            ),
            subscribers=row["subscribers"],
            unbalanced=row["unbalanced"],
        )
        for row in rows
    ]


async def all_topic_ledgers(connection: asyncpg.Connection) -> list[TopicLedger]:
    """Return the ledgers of all topics, read in bounded pieces."""
    ledgers: list[TopicLedger] = []
    after = UUID(int=0)
    while topics := [row["id"] for row in await connection.fetch(_NEXT_TOPICS, after, TOPICS_PER_READ)]:
        ledgers.extend(await topic_ledgers(connection, topics))
        after = topics[-1]
    return ledgers


async def email_ledger(connection: asyncpg.Connection, now: datetime) -> EmailLedgerState:
    """Return the email ledger of the deployment."""
    async with connection.transaction(readonly=True):
        await connection.execute(_LONG_TIMEOUT)
        row = await connection.fetchrow(_EMAIL, now, timeout=LEDGER_STATEMENT_TIMEOUT)
    oldest: datetime | None = row["oldest"]
    return EmailLedgerState(
        ledger=EmailLedger(
            due=row["due"], sent=row["sent"], fenced=row["fenced"], pending=row["pending"], dead=row["dead"]
        ),
        waiting=row["waiting"],
        waiting_due=row["waiting_due"],
        leased=row["leased"],
        oldest_due_seconds=max((now - oldest).total_seconds(), 0.0) if oldest is not None else 0.0,
    )


async def read_ledger(connection: asyncpg.Connection, now: datetime) -> Ledger:
    """Return the ledger of the deployment."""
    topics = await all_topic_ledgers(connection)
    email = await email_ledger(connection, now)
    return Ledger(
        balanced=email.balanced and not any(topic.unbalanced for topic in topics),
        topics=sorted((topic.row for topic in topics), key=lambda row: row.topic),
        email=email.ledger,
    )
