"""The states of an email in the outbox, and what a result changes. Pure.

A row is ``pending`` (waits for its time), ``leased`` (a dispatcher has it), or in a final state: ``sent``,
``fenced`` (no longer wanted: acknowledged, expired, unsubscribed) or ``dead`` (given up, with the reason).
Every row ends in exactly one final state; the email ledger depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

import orjson

from notifyx_common.contracts.store.outbox import OutboxResult

State = Literal["pending", "leased", "sent", "fenced", "dead"]
FINAL_STATES: frozenset[State] = frozenset({"sent", "fenced", "dead"})

MAX_REASON = 500
"""Maximum length of a stored reason, in characters."""

DIGEST_ITEMS = 50
"""Maximum number of notifications that a digest lists; it counts the rest."""

DIGEST_BODY_CHARS = 700
"""Maximum length of a body in a digest, in characters; an email about one notification has all of it."""


MAIL_DATA_BYTES = 8_192
"""Maximum size of ``data`` in an email about one notification; of more, it has the beginning, as a digest."""

DIGEST_DATA_VALUES = 8
"""Maximum number of values of ``data`` in a digest."""

DIGEST_VALUE_CHARS = 200
"""Maximum length of such a value, in characters."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """When email to a refused address stops: after ``strikes``, each at least ``interval`` after the one before.

    A strike counts no more ``expiry`` after the last one. A user may end the stop once per ``resume_interval``; then up
    to ``resume_mails`` held emails are sent.
    """

    strikes: int = 3
    interval: timedelta = timedelta(hours=12)
    expiry: timedelta = timedelta(days=14)
    resume_interval: timedelta = timedelta(hours=1)
    resume_mails: int = 100


UNVERIFIED = "address_unverified"
"""Reason of an email that waits for its user's address to be verified."""

TOO_OLD = "unverified_too_long"
TOO_MANY = "unverified_too_many"
"""Reasons of emails that waited in vain."""


@dataclass(frozen=True, slots=True)
class UnverifiedPolicy:
    """What waits for an address to be verified: the newest ``keep`` emails of a user, each for up to ``age``.

    Until the store is told, one email is tried after ``recheck``, and later less often. ``dropped`` is called with the
    number of emails that are over the bounds.
    """

    keep: int = 100
    age: timedelta = timedelta(days=7)
    recheck: timedelta = timedelta(minutes=1)
    dropped: Callable[[int], None] = lambda count: None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed email is retried. Times are in seconds.

    The first retry is early (a mailer was killed), later ones are far apart (an SMTP server is down, or greylists):
    ``base * factor ** (attempt - 1)`` up to ``max_delay``, each shortened by up to half at random.
    """

    max_attempts: int = 8
    base: float = 5.0
    factor: float = 4.0
    max_delay: float = 4 * 3600.0
    off_delay: float = 300.0
    address: AddressPolicy = AddressPolicy()
    unverified: UnverifiedPolicy = UnverifiedPolicy()

    def delay(self, attempt: int, jitter: float) -> timedelta:
        """Return the delay after ``attempt`` failures; ``jitter`` is in [0, 1)."""
        full = min(self.base * self.factor ** min(max(attempt - 1, 0), 32), self.max_delay)
        return timedelta(seconds=full * (0.5 + jitter / 2))

    def email_off_delay(self, jitter: float) -> timedelta:
        """Return the delay before an email is tried again after a mailer without an SMTP server."""
        return timedelta(seconds=self.off_delay * (0.5 + jitter / 2))


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """The columns of an outbox row that decide what a result changes."""

    state: State
    owner: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class OutboxChange:
    """What a result changes in a row. ``address_refused``: it is a strike against this user's address.

    ``unverified``: it waits for the address to be verified. ``ends_wait``: emails of the user need not wait, as the
    address is verified, or the user is gone.
    """

    state: State
    attempts: int
    due_at: datetime | None = None
    reason: str | None = None
    address_refused: bool = False
    unverified: bool = False
    ends_wait: bool = False


def change_for(
    row: OutboxRow, result: OutboxResult, *, owner: str, now: datetime, policy: RetryPolicy, jitter: float
) -> OutboxChange | None:
    """Return what ``owner``'s ``result`` changes in ``row``; ``None`` if nothing.

    Only results of the lease's owner count, with one exception: "sent" is true whoever reports it.
    """
    if row.state in FINAL_STATES:
        return None
    if result.status == "sent":
        return OutboxChange("sent", row.attempts, ends_wait=True)
    if row.state != "leased" or row.owner != owner:
        return None
    return _not_sent(row, result, now, policy, jitter)


def _not_sent(row: OutboxRow, result: OutboxResult, now: datetime, policy: RetryPolicy, jitter: float) -> OutboxChange:
    # The reason may be the answer of any mail server: no character in it may prevent recording the result.
    reason = "".join(char if char.isprintable() else " " for char in result.reason[:MAX_REASON]).strip()
    if result.status == "refused":
        # After those that are held for it: the next strike is another email's, if there is one.
        due = now + policy.address.interval + timedelta(minutes=1)
        last = not result.address_refused or row.attempts >= policy.max_attempts
        return OutboxChange(
            "dead" if last else "pending",
            row.attempts,
            due_at=None if last else due,
            reason=reason or "refused",
            address_refused=result.address_refused,
            ends_wait=True,
        )
    if result.status == "unverified":
        return OutboxChange(
            "pending",
            max(row.attempts - 1, 0),
            due_at=now + policy.unverified.recheck,
            reason=UNVERIFIED,
            unverified=True,
        )
    if result.status == "gone":
        return OutboxChange("dead", row.attempts, reason=reason or "no such user", ends_wait=True)
    if result.status == "off":
        due = now + policy.email_off_delay(jitter)
        return OutboxChange("pending", max(row.attempts - 1, 0), due_at=due, reason="email is off")
    if row.attempts >= policy.max_attempts:
        return OutboxChange("dead", row.attempts, reason=reason or "failed too often", ends_wait=True)
    due = now + policy.delay(row.attempts, jitter)
    return OutboxChange("pending", row.attempts, due_at=due, reason=reason, ends_wait=True)


def mail_context(notification: dict[str, Any], *, brief: bool = False) -> dict[str, Any]:
    """Return the fields of a notification that templates show; ``brief``: as one of several."""
    publisher = notification.get("publisher") or {}
    data = notification.get("data")
    return {
        "topic": notification["topic"],
        "seq": notification["seq"],
        "title": notification.get("title", ""),
        "body": str(notification.get("body", ""))[: DIGEST_BODY_CHARS if brief else None],
        "data": brief_data(data) if data and (brief or len(orjson.dumps(data)) > MAIL_DATA_BYTES) else data,
        "priority": notification.get("priority", "normal"),
        "publisher": publisher.get("name") or publisher.get("id", ""),
        "published_at": notification["published_at"],
    }


def brief_data(data: dict[str, Any]) -> dict[str, Any]:
    """Return the first values of ``data``, those that are long or nested as shortened text."""
    brief: dict[str, Any] = {}
    for name, value in islice(data.items(), DIGEST_DATA_VALUES):
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        simple = not isinstance(value, dict | list) and len(text) <= DIGEST_VALUE_CHARS
        brief[name[:DIGEST_VALUE_CHARS]] = value if simple else text[:DIGEST_VALUE_CHARS]
    return brief


def notification_mail(notification: dict[str, Any], topic_title: str) -> dict[str, Any]:
    """Return the context of the template ``notification``."""
    return {**mail_context(notification), "topic_title": topic_title}


def digest_mail(notifications: list[dict[str, Any]], total: int, topic: str, topic_title: str) -> dict[str, Any]:
    """Return the context of the template ``digest``: ``notifications``, oldest first, and the number of ``more``."""
    listed = notifications[:DIGEST_ITEMS]
    return {
        "topic": topic,
        "topic_title": topic_title,
        "notifications": [mail_context(item, brief=True) for item in listed],
        "count": total,
        "more": max(total - len(listed), 0),
    }
