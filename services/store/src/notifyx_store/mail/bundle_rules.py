"""Digests of what is over a person's number of emails an hour, decided without I/O. Pure.

Emails over it wait together and become one mail, a *bundle*. Until a bundle may have reached a mail server it can be
dissolved at any time, and what it held waits for the next. From then on it stays as it is, under one id: it may only
lose what is no longer wanted. So no notification is ever in two mails with two ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from notifyx_common.contracts.store.outbox import OutboxResult
from notifyx_store.mail.outbox_rules import (
    FINAL_STATES,
    TOO_OLD,
    OutboxChange,
    OutboxRow,
    RetryPolicy,
    change_for,
    mail_context,
)

BUNDLE_ITEMS = 50
"""Maximum number of notifications that such a digest lists; it counts the rest."""

BUNDLE_TOPICS = 25
"""Maximum number of topics in one: its unsubscribe link, which names them all, has to fit into a header."""

ITEM_CHARS = 240
"""Maximum length of a body in it, in characters."""

DIGEST = "over_hourly_mails"
"""Reason of an email that waits for such a digest."""

LEASE_RAN_OUT = "the lease ran out without a result"


@dataclass(frozen=True, slots=True)
class HourlyLimit:
    """Emails to one person in an hour; what is beyond waits for ``gather`` and goes out as one.

    Urgent notifications do not wait, and count. ``held`` is called with the number of emails that wait.
    """

    mails: int = 60
    gather: timedelta = timedelta(minutes=15)
    held: Callable[[int], None] = lambda count: None


@dataclass(frozen=True, slots=True)
class Bundle:
    """One digest in the outbox.

    ``confirmed``: a dispatcher was told in this lease to send it. ``maybe_sent``: so was one before, and what became
    of that is not known.
    """

    owner: str | None
    attempts: int
    confirmed: bool
    maybe_sent: bool
    created_at: datetime

    def stays(self, *, result_known: bool) -> bool:
        """Return whether it stays as it is when its lease ends, because it may have reached its reader."""
        return self.maybe_sent or (self.confirmed and not result_known)


@dataclass(frozen=True, slots=True)
class BundleChange:
    """What a result changes: ``change`` as of one email.

    ``final``: it holds for every item. ``kept``: the bundle is tried again. ``waiting``: the items wait for another
    digest from ``change.due_at`` on. ``single``: they are single emails again, to which the rules of addresses apply.
    """

    change: OutboxChange
    items: Literal["final", "kept", "waiting", "single"]


def bundle_change(
    bundle: Bundle, result: OutboxResult, *, owner: str, now: datetime, policy: RetryPolicy, jitter: float
) -> BundleChange | None:
    """Return what ``owner``'s ``result`` changes in a bundle; ``None`` if nothing."""
    row = OutboxRow("leased" if bundle.owner is not None else "pending", bundle.owner, bundle.attempts)
    change = change_for(row, result, owner=owner, now=now, policy=policy, jitter=jitter)
    if change is None:
        return None
    if change.state in FINAL_STATES:
        return BundleChange(change, "final")
    if bundle.stays(result_known=result.status != "failed"):
        if result.status == "unverified" and bundle.created_at <= now - policy.unverified.age:
            return BundleChange(OutboxChange("dead", change.attempts, reason=TOO_OLD), "final")
        return BundleChange(change, "kept")
    return BundleChange(change, "single" if change.unverified or change.address_refused else "waiting")


def bundle_mail(items: Sequence[tuple[dict[str, Any], str]], total: int, hourly: int) -> dict[str, Any]:
    """Return the context of the template ``digest`` for some of ``total`` notifications, each with its topic's title.

    They come by topic, in each oldest first.
    """
    listed = sorted(items[:BUNDLE_ITEMS], key=lambda item: (item[0]["topic"], item[0]["seq"]))
    one_topic = len({item["topic"] for item, _ in listed}) == 1
    return {
        "topic": listed[0][0]["topic"] if one_topic else "",
        "topic_title": listed[0][1] if one_topic else "",
        "notifications": [_item(item, title) for item, title in listed],
        "count": total,
        "more": max(total - len(listed), 0),
        "hourly": hourly,
    }


def _item(notification: dict[str, Any], topic_title: str) -> dict[str, Any]:
    context = mail_context(notification, brief=True)
    body = context["body"]
    if len(body) > ITEM_CHARS:
        context["body"] = body[:ITEM_CHARS].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    if context["title"] or body:
        context["data"] = None
    return {**context, "topic_title": topic_title}
