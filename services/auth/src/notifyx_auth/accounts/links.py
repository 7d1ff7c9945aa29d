"""Links in mails that let their reader change an account: replaced by newer ones, and ended by a new password."""

from __future__ import annotations

from datetime import datetime, timedelta

from notifyx_auth.base.errors import InvalidLink
from notifyx_auth.base.models import EmailChange, PasswordReset, User, Verification
from notifyx_common.errors import TooManyRequests

RESEND_AFTER = timedelta(minutes=1)
"""Minimum time between two mails with a link of one kind that are asked for: the mailbox may be somebody else's."""


def require_pace(latest: Verification | PasswordReset | EmailChange | None, pace: timedelta, now: datetime) -> None:
    """Raise :class:`TooManyRequests` if ``latest`` was made less than ``pace`` ago."""
    if latest is not None and latest.created_at > now - pace:
        raise TooManyRequests(
            "A mail was sent a moment ago. Look for it, or try again in a while.",
            retry_after=(latest.created_at + pace - now).total_seconds(),
        )


async def end_links(user: User) -> None:
    """End the links that were mailed for ``user``, whose row the caller has locked."""
    await Verification.filter(user=user).delete()
    await PasswordReset.filter(user=user).delete()
    await EmailChange.filter(user=user).delete()


def invalid_link() -> InvalidLink:
    """Return the error of a link that is wrong, used, replaced or expired."""
    return InvalidLink("This link is not valid (any more). Ask for a new mail.")
