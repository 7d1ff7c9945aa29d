"""What becomes of an email: the outbox's rules, without I/O.

A row is ``pending`` (waits for its time), ``leased`` (a dispatcher has it), or in a final state: ``sent``,
``fenced`` (no longer wanted: acknowledged, expired, unsubscribed) or ``dead`` (given up, with the reason).
Every row ends in exactly one final state; the email ledger counts on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from notifyx_common.contracts.store.outbox import OutboxResult

State = Literal["pending", "leased", "sent", "fenced", "dead"]
FINAL_STATES: frozenset[State] = frozenset({"sent", "fenced", "dead"})

MAX_REASON = 500
"""Longest reason kept, in characters."""

DIGEST_ITEMS = 50
"""Most notifications a digest lists; the rest is a number."""

DIGEST_BODY_CHARS = 700
"""Longest body of one notification within a digest, in characters; a mail of its own carries all of it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed email is tried again. Times in seconds.

    The first retry is quick (a mailer was killed), the later ones far apart (an SMTP server is down, or greylists):
    ``base * factor ** (attempt - 1)`` up to ``longest``, each shortened by up to half at random.
    """

    max_attempts: int = 8
    base: float = 5.0
    factor: float = 4.0
    longest: float = 4 * 3600.0
    off_delay: float = 300.0

    def delay(self, attempt: int, jitter: float) -> timedelta:
        """How long to wait after ``attempt`` failures; ``jitter`` is in [0, 1)."""
        full = min(self.base * self.factor ** min(max(attempt - 1, 0), 32), self.longest)
        return timedelta(seconds=full * (0.5 + jitter / 2))

    def email_off_delay(self, jitter: float) -> timedelta:
        """How long to wait before asking again whether SMTP is configured by now."""
        return timedelta(seconds=self.off_delay * (0.5 + jitter / 2))


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """Where an outbox row stands."""

    state: State
    owner: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class OutboxChange:
    """What a result does to a row. ``block_address``: no more mail to this user's address."""

    state: State
    attempts: int
    due_at: datetime | None = None
    reason: str | None = None
    block_address: bool = False


def change_for(
    row: OutboxRow, result: OutboxResult, *, owner: str, now: datetime, policy: RetryPolicy, jitter: float
) -> OutboxChange | None:
    """What ``result``, told by ``owner``, means for ``row``; ``None`` when it no longer matters.

    Only who holds the lease decides, but for one thing: a mail that was sent was sent, whoever says so.
    """
    if row.state in FINAL_STATES:
        return None
    if result.status == "sent":
        return OutboxChange("sent", row.attempts)
    if row.state != "leased" or row.owner != owner:
        return None
    return _not_sent(row, result, now, policy, jitter)


def _not_sent(row: OutboxRow, result: OutboxResult, now: datetime, policy: RetryPolicy, jitter: float) -> OutboxChange:
    # It may be what a foreign server said, in any characters: none of them may keep the result from being recorded.
    reason = "".join(char if char.isprintable() else " " for char in result.reason[:MAX_REASON]).strip()
    if result.status == "refused":
        return OutboxChange("dead", row.attempts, reason=reason or "refused", block_address=result.address_refused)
    if result.status == "unverified":
        return OutboxChange("dead", row.attempts, reason=reason or "no verified address")
    if result.status == "off":
        due = now + policy.email_off_delay(jitter)
        return OutboxChange("pending", max(row.attempts - 1, 0), due_at=due, reason="email is off")
    if row.attempts >= policy.max_attempts:
        return OutboxChange("dead", row.attempts, reason=reason or "failed too often")
    return OutboxChange("pending", row.attempts, due_at=now + policy.delay(row.attempts, jitter), reason=reason)


def mail_context(notification: dict[str, Any], *, body_chars: int | None = None) -> dict[str, Any]:
    """What a template may show of one notification. ``data`` is for programs and stays out of mail."""
    publisher = notification.get("publisher") or {}
    return {
        "topic": notification["topic"],
        "seq": notification["seq"],
        "title": notification.get("title", ""),
        "body": str(notification.get("body", ""))[:body_chars],
        "priority": notification.get("priority", "normal"),
        "publisher": publisher.get("name") or publisher.get("id", ""),
        "published_at": notification["published_at"],
    }


def notification_mail(notification: dict[str, Any], topic_title: str) -> dict[str, Any]:
    """The context of the template ``notification``."""
    return {**mail_context(notification), "topic_title": topic_title}


def digest_mail(notifications: list[dict[str, Any]], total: int, topic: str, topic_title: str) -> dict[str, Any]:
    """The context of the template ``digest``: ``notifications`` oldest first, ``more`` beyond them."""
    listed = notifications[:DIGEST_ITEMS]
    return {
        "topic": topic,
        "topic_title": topic_title,
        "notifications": [mail_context(item, body_chars=DIGEST_BODY_CHARS) for item in listed],
        "count": total,
        "more": max(total - len(listed), 0),
    }
