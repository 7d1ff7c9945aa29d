"""Email verification: a token that is sent to the mailbox only, valid once and for a limited time.

Anyone can sign up with any address. So the token alone proves the mailbox, but not that its holder chose the account's
password. To verify, they give that password, or set a new one: then all that could use the account before ends. The
token ends with any other new password, and with the proof of the address by another link.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tortoise.transactions import in_transaction

from notifyx_auth.accounts.links import CLAIM_AFTER, RESEND_AFTER, invalid_link, replace_link
from notifyx_auth.accounts.new_passwords import set_password
from notifyx_auth.accounts.pending_mails import PendingMails
from notifyx_auth.base import password_rules
from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.errors import AlreadyVerified, WrongPassword
from notifyx_auth.base.models import User, Verification
from notifyx_auth.base.secret_formats import digest, new_secret
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_auth.users.users import by_email, by_id, lock
from notifyx_common.contracts.auth import EmailToken
from notifyx_common.database import CONNECTION
from notifyx_common.errors import Forbidden, NotFound
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal

log = get_logger(__name__)


async def request(principal: Principal, lifetime: timedelta, now: datetime) -> EmailToken:
    """Return a token to be mailed to the caller; it replaces an earlier one.

    Raises :class:`AlreadyVerified`, :class:`TooManyRequests`, and :class:`Forbidden` for an API key.
    """
    if principal.kind != "user":
        raise Forbidden("Sign in as a user to verify the email.", code="user_required")
    return await _new_token(await by_id(principal.id), RESEND_AFTER, lifetime, now)


async def claim(email: str, lifetime: timedelta, now: datetime) -> EmailToken:
    """Return a token to be mailed to ``email``, for which somebody wants to sign up again.

    Gateways of the previous release call it, and mail the link themselves.

    Raises :class:`AlreadyVerified`, :class:`NotFound` and :class:`TooManyRequests`.
    """
    user = await by_email(email)
    if user is None:
        raise NotFound("There is no such user.")
    return await _new_token(user, CLAIM_AFTER, lifetime, now)


async def verify(
    token: str,
    password: str | None,
    new_password: str | None,
    *,
    passwords: Passwords,
    mails: PendingMails,
    changes: ChangeLog,
    now: datetime,
) -> User:
    """Spend ``token``: the email of its user is verified, and the password proved or set.

    Raises :class:`InvalidLink`, and :class:`WrongPassword`, :class:`WeakPassword` and :class:`TooManyMails`, which do
    not spend the token.
    """
    # Hashing takes long: no row is locked meanwhile.
    user = await User.get_or_none(
        email_verified=False, verification__hash=digest(token), verification__expires_at__gt=now
    )
    if user is None:
        raise invalid_link()
    before, new_hash = user.password_hash, None
    turn = Turn(str(user.id), known=True)
    if new_password is not None:
        password_rules.check(new_password, user.email)  # the name may be a stranger's choice
        new_hash = await passwords.hash(new_password, turn)
    elif password is None or not await passwords.verify(before, password, turn):
        raise WrongPassword("This is not the password of the account. Set a new one if somebody else chose it.")
    async with in_transaction(CONNECTION) as transaction:
        user = await lock(user.id)
        row = await Verification.get_or_none(user=user, hash=digest(token), expires_at__gt=now)
        if row is None or user.email_verified or (new_hash is None and user.password_hash != before):
            raise invalid_link()
        user.email_verified = True
        await user.save(update_fields=["email_verified"])
        ended: list[Change] = []
        if new_hash is not None:
            ended = await set_password(user, new_hash, "password_set", now, end_credentials=True)
            await mails.notify(transaction, "password_changed", user, user.email, now)
        await row.delete()
        await changes.record(transaction, user.id, [*ended, Change("verified", str(user.id), email=user.email)], now)
    log.info("email_verified", user=str(user.id), password_set=new_hash is not None)
    return user


async def _new_token(found: User, pace: timedelta, lifetime: timedelta, now: datetime) -> EmailToken:
    token = new_secret()
    async with in_transaction(CONNECTION):
        user = await lock(found.id)
        if user.email_verified:
            raise AlreadyVerified("This email is verified already.")
        ends = await replace_link(Verification, user, token, pace=pace, lifetime=lifetime, now=now)
    return EmailToken(user_id=str(user.id), email=user.email, name=user.name, token=token, expires_at=ends)
