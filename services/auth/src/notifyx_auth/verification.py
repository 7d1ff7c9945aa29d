"""Email verification: a token that is sent to the mailbox only, valid once and for a limited time."""

from __future__ import annotations

from datetime import datetime, timedelta

from tortoise.transactions import in_transaction

from notifyx_auth.credentials import digest, new_secret
from notifyx_auth.errors import AlreadyVerified, InvalidGrant
from notifyx_auth.models import User, Verification
from notifyx_auth.users import by_id
from notifyx_common.contracts.auth import EmailToken
from notifyx_common.database import CONNECTION
from notifyx_common.errors import Forbidden, TooManyRequests
from notifyx_common.principal import Principal

RESEND_AFTER = timedelta(minutes=1)
"""Minimum time between two mails to a user: the mailbox may be somebody else's."""


async def request(principal: Principal, lifetime: timedelta, now: datetime) -> EmailToken:
    """Return a token to be mailed; it replaces an earlier one.

    Raises :class:`AlreadyVerified`, :class:`TooManyRequests`, and :class:`Forbidden` for an API key.
    """
    if principal.kind != "user":
        raise Forbidden("Sign in as a user to verify the email.", code="user_required")
    token = new_secret()
    found = await by_id(principal.id)
    async with in_transaction(CONNECTION):
        user = await User.filter(id=found.id).select_for_update().get()
        if user.email_verified:
            raise AlreadyVerified("This email is verified already.")
        latest = await Verification.get_or_none(user=user)
        if latest is not None and latest.created_at > now - RESEND_AFTER:
            wait = (latest.created_at + RESEND_AFTER - now).total_seconds()
            raise TooManyRequests(
                "A mail was sent a moment ago. Look for it, or try again in a minute.", retry_after=wait
            )
        await Verification.filter(user=user).delete()
        row = await Verification.create(user=user, hash=digest(token), created_at=now, expires_at=now + lifetime)
    return EmailToken(user_id=str(user.id), email=user.email, name=user.name, token=token, expires_at=row.expires_at)


async def verify(token: str, now: datetime) -> User:
    """Spend ``token``: the email of its user is verified. Raises :class:`InvalidGrant`."""
    async with in_transaction(CONNECTION):
        row = await Verification.filter(hash=digest(token)).select_for_update().first()
        if row is None or row.expires_at <= now:
            raise InvalidGrant("This link is not valid (any more). Ask for a new mail.")
        user = await User.get(verification__hash=row.hash)
        user.email_verified = True
        await user.save(update_fields=["email_verified"])
        await row.delete()
    return user
