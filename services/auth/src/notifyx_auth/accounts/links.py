"""Links in mails that let their reader change an account: replaced by newer ones, and ended by a new password."""

from __future__ import annotations

from datetime import datetime, timedelta

from notifyx_auth.base.errors import InvalidLink, ManagedAccount
from notifyx_auth.base.models import EmailChange, PasswordReset, User, Verification
from notifyx_auth.base.secret_formats import email_key
from notifyx_common.errors import Forbidden, TooManyRequests
from notifyx_common.principal import Principal

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


def require_user(caller: Principal) -> None:
    """Raise :class:`Forbidden` unless ``caller`` is a user: no API key takes an account over."""
    if caller.kind != "user":
        raise Forbidden("Sign in as a user to change the account; a key cannot.", code="user_required")


def require_own(email: str, managed: str) -> None:
    """Raise :class:`ManagedAccount` for the administrator's account: its next start would take a change back.

    ``managed`` is the address in the settings.
    """
    if managed and email_key(email) == email_key(managed):
        raise ManagedAccount(
            "The settings of this deployment hold the address and the password of this account; change them there "
            "(NOTIFYX_ADMIN_EMAIL, NOTIFYX_ADMIN_PASSWORD)."
        )


def invalid_link() -> InvalidLink:
    """Return the error of a link that is wrong, used, replaced or expired."""
    return InvalidLink("This link is not valid (any more). Ask for a new mail.")
