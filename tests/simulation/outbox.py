"""The outbox of the simulated database: its rows, decided by the store's own rules of what a result changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from notifyx_common.contracts.store.outbox import LeasedMails, OutboxLeaseRequest, OutboxMail, OutboxResults
from notifyx_store.mail.outbox_rules import OutboxRow, RetryPolicy, State, change_for, notification_mail
from support.memory_topics import MemoryTopic

CONFIRM = timedelta(seconds=3)
"""How long a confirmed email stays leased, at least."""

POLICY = RetryPolicy(base=0.5, factor=2.0, max_delay=2.0, off_delay=0.5, max_attempts=50)


@dataclass(slots=True)
class Row:
    """An email."""

    id: UUID
    topic: MemoryTopic
    user: str
    seq: int
    due_at: datetime
    state: State = "pending"
    owner: str | None = None
    leased_until: datetime | None = None
    attempts: int = 0


class OutboxTable:
    """All emails. ``delays`` are the seconds until one is due, of each subscription with email."""

    def __init__(self, topics: Mapping[UUID, MemoryTopic]) -> None:
        self.rows: dict[UUID, Row] = {}
        self.delays: dict[tuple[UUID, str], float] = {}
        self.confirmed: set[str] = set()
        """The ids of the messages that were confirmed."""
        self._topics = topics
        self._filled: dict[tuple[UUID, str], int] = {}

    def fill(self, now: datetime) -> None:
        """Add the emails that the log calls for."""
        for (topic_id, user), delay in self.delays.items():
            topic = self._topics[topic_id]
            filled = self._filled.get((topic_id, user), 0)
            for seq in range(filled + 1, topic.last_seq + 1):
                if _wanted(topic, user, seq):
                    row = Row(UUID(int=1000 + len(self.rows)), topic, user, seq, now)
                    published = datetime.fromisoformat(orjson.loads(topic.log[seq])["published_at"])
                    row.due_at = published + timedelta(seconds=delay)
                    self.rows[row.id] = row
            self._filled[topic_id, user] = topic.last_seq

    def lease(self, request: OutboxLeaseRequest, now: datetime) -> LeasedMails:
        """Lease emails that are due; those that nobody wants any more are fenced."""
        self.fill(now)
        mails: list[OutboxMail] = []
        for row in self.rows.values():
            if row.state == "leased" and row.leased_until is not None and row.leased_until <= now:
                row.state, row.owner = "pending", None
            if row.state != "pending" or row.due_at > now or len(mails) >= request.limit:
                continue
            if not _wanted(row.topic, row.user, row.seq):
                row.state = "fenced"
                continue
            row.state, row.owner = "leased", request.owner
            row.leased_until = now + timedelta(seconds=request.lease_seconds)
            row.attempts += 1
            mails.append(
                OutboxMail(
                    id=str(row.id),
                    message_id=message_id(row.id),
                    user=row.user,
                    template="notification",
                    context=notification_mail(orjson.loads(row.topic.log[row.seq]), ""),
                    unsubscribe_token="",
                    attempt=row.attempts,
                )
            )
        return LeasedMails(mails=mails, oldest_due=0.0)

    def confirm(self, ids: Sequence[str], owner: str, now: datetime) -> list[str]:
        """Return the emails that are still leased by ``owner`` and wanted; the others of these are fenced."""
        confirmed = []
        for row in [self.rows[UUID(one)] for one in ids]:
            if row.state != "leased" or row.owner != owner or row.leased_until is None or row.leased_until <= now:
                continue
            if _wanted(row.topic, row.user, row.seq):
                row.leased_until = max(row.leased_until, now + CONFIRM)
                confirmed.append(str(row.id))
                self.confirmed.add(message_id(row.id))
            else:
                row.state, row.owner = "fenced", None
        return confirmed

    def report(self, results: OutboxResults, now: datetime, jitter: float) -> None:
        """Record results."""
        for result in results.results:
            row = self.rows[UUID(result.id)]
            known = OutboxRow(row.state, row.owner, row.attempts)
            change = change_for(known, result, owner=results.owner, now=now, policy=POLICY, jitter=jitter)
            if change is not None:
                row.state, row.attempts, row.owner = change.state, change.attempts, None
                row.due_at = change.due_at or row.due_at

    def open(self) -> int:
        """Return how many emails are neither sent, fenced nor dead."""
        return sum(row.state in ("pending", "leased") for row in self.rows.values())


def message_id(email: UUID) -> str:
    """Return the Message-ID of an email."""
    return f"<{email}@simulated>"


def _wanted(topic: MemoryTopic, user: str, seq: int) -> bool:
    acked = seq <= topic.acked.get(user, 0) or seq in topic.exceptions.get(user, ())
    return seq in topic.log and not acked
