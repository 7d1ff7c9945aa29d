"""Links in mails that let their reader change an account: replaced by newer ones, and ended by a new password.

A mail that was asked for before a new password and is sent after it would undo that end: it is dropped with the links.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

from notifyx_auth.base.errors import InvalidLink
from notifyx_auth.base.models import AccountMail, EmailChange, PasswordReset, User, Verification
from notifyx_auth.base.secret_formats import digest, email_key
from notifyx_common.contracts.account_mails import RequestedKind
from notifyx_common.contracts.accounts import LinkKind
from notifyx_common.errors import TooManyRequests

RESEND_AFTER = timedelta(minutes=1)
"""Minimum time between two mails with a link of one kind that are asked for: the mailbox may be somebody else's."""

CLAIM_AFTER = timedelta(minutes=15)
"""Minimum time between two mails that a stranger causes by signing up again: each replaces the link before."""


def require_pace(latest: Verification | PasswordReset | EmailChange | None, pace: timedelta, now: datetime) -> None:
    """Raise :class:`TooManyRequests` if ``latest`` was made less than ``pace`` ago."""
    if latest is not None and latest.created_at > now - pace:
        raise TooManyRequests(
            "A mail was sent a moment ago. Look for it, or try again in a while.",
            retry_after=(latest.created_at + pace - now).total_seconds(),
        )


async def replace_link(
    kind: type[Verification] | type[PasswordReset],
    user: User,
    token: str,
    *,
    pace: timedelta,
    lifetime: timedelta,
    now: datetime,
) -> datetime:
    """Give ``user``, whose row the caller has locked, the link of ``token`` in place of the one before.

    Return when it ends. Raises :class:`TooManyRequests` within ``pace`` after the one before.
    """
    require_pace(await kind.get_or_none(user=user), pace, now)
    await kind.filter(user=user).delete()
    expires_at = now + lifetime
    await kind.create(user=user, hash=digest(token), created_at=now, expires_at=expires_at)
    return expires_at


def mail_key(kind: str, of: str) -> str:
    """Return the key of the one mail of ``kind`` that waits ``of`` an address or a user."""
    return digest(f"{kind} {of}")


async def end_links(user: User, *former: str) -> None:
    """End the links for ``user``, whose row the caller has locked: those mailed, and those of mails that still wait.

    ``former`` are the keys of addresses that were the user's.
    """
    await Verification.filter(user=user).delete()
    await PasswordReset.filter(user=user).delete()
    await EmailChange.filter(user=user).delete()
    # A mail that waits has no link yet: it would get one after this, which nobody has asked for since. Whoever makes
    # one locks the user first, so it is made before this, and deleted above, or finds no mail any more.
    had = (user.email_key, *former)
    addresses = {*had, *(email_key(one) or one for one in had)}  # requests are recorded by the key of today
    keys = [mail_key(kind, address) for kind in get_args(RequestedKind) for address in addresses]
    await AccountMail.filter(key__in=[*keys, mail_key("email_confirmation", str(user.id))]).delete()


async def check_link(kind: LinkKind, token: str, now: datetime) -> None:
    """Return if the link of ``token`` can be used, and do not spend it. Raises :class:`InvalidLink`.

    It takes one look at one table, whether or not there is such a link.
    """
    wanted = digest(token)
    match kind:
        case "password_reset":
            good = await PasswordReset.exists(hash=wanted, expires_at__gt=now)
        case "verification":
            good = await Verification.exists(hash=wanted, expires_at__gt=now, user__email_verified=False)
        case "email_change":
            good = await EmailChange.exists(hash=wanted, expires_at__gt=now)
    if not good:
        raise invalid_link()


def invalid_link() -> InvalidLink:
    """Return the error of a link that is wrong, used, replaced or expired."""
    return InvalidLink("This link is not valid (any more). Ask for a new mail.")
