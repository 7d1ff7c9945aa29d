"""A new password for an account: by the link in a mail, or by the one before.

Whoever used the account before may have known the old password. So every session and every known device ends; a user
who changes the password while signed in keeps that one session. API keys and webhooks are other credentials, on which
other people's alerts may depend: they end where nobody had proved the address, so that they may be a stranger's, and
where the user asks for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tortoise.transactions import in_transaction

from notifyx_auth.accounts.links import RESEND_AFTER, end_links, invalid_link, replace_link
from notifyx_auth.accounts.own_account import own_account, require_unmanaged
from notifyx_auth.accounts.pending_mails import PendingMails
from notifyx_auth.base import password_rules
from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.models import PasswordReset, User
from notifyx_auth.base.secret_formats import digest, email_keys, new_secret
from notifyx_auth.credentials import api_keys
from notifyx_auth.sessions import devices, sessions
from notifyx_auth.sessions.password_check import PasswordCheck, lock_checked
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_auth.users.users import by_email
from notifyx_common.contracts.accounts import PasswordReset as ResetLink
from notifyx_common.database import CONNECTION
from notifyx_common.errors import NotFound
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal

log = get_logger(__name__)


async def set_password(user: User, new_hash: str, reason: str, now: datetime, *, end_credentials: bool) -> list[Change]:
    """Give ``user``, whose row the caller has locked, another password; end what was proved by the one before.

    Return the changes, which the caller records last in the transaction.
    """
    user.password_hash = new_hash
    await user.save(update_fields=["password_hash"])
    await end_links(user)
    ended = [await sessions.end_all(user, reason, now)]
    return [*ended, *await api_keys.delete_all(user)] if end_credentials else ended


async def request_reset(email: str, managed: str, lifetime: timedelta, now: datetime) -> ResetLink:
    """Return the token of a link that sets a new password, to be mailed to ``email``; it replaces an earlier one.

    Gateways of the previous release call it, and mail the link themselves.

    Raises :class:`NotFound`, :class:`ManagedAccount` and :class:`TooManyRequests`.
    """
    found = await by_email(email)
    if found is None:
        raise _no_such_user()
    require_unmanaged(email, managed)
    token = new_secret()
    async with in_transaction(CONNECTION):
        user = await User.filter(id=found.id).select_for_update().first()
        if user is None or user.email_key not in email_keys(email):  # it has another address now
            raise _no_such_user()
        ends = await replace_link(PasswordReset, user, token, pace=RESEND_AFTER, lifetime=lifetime, now=now)
    return ResetLink(user_id=str(user.id), email=user.email, time_zone=user.time_zone, token=token, expires_at=ends)


async def reset(
    token: str,
    new_password: str,
    *,
    end_credentials: bool,
    passwords: Passwords,
    mails: PendingMails,
    changes: ChangeLog,
    now: datetime,
) -> User:
    """Spend ``token``: its user has the new password, and has proved the address.

    Raises :class:`InvalidLink`, and :class:`WeakPassword` and :class:`TooManyMails`, which do not spend the token.
    """
    found = await User.get_or_none(password_reset__hash=digest(token), password_reset__expires_at__gt=now)
    if found is None:
        raise invalid_link()
    password_rules.check(new_password, found.email, "new_password", name=found.name)
    # Hashing takes long: no row is locked meanwhile.
    new_hash = await passwords.hash(new_password, Turn(str(found.id), known=True))
    async with in_transaction(CONNECTION) as transaction:
        user = await User.filter(id=found.id).select_for_update().first()
        if user is None or not await PasswordReset.exists(user_id=user.id, hash=digest(token), expires_at__gt=now):
            raise invalid_link()
        end_credentials = end_credentials or not user.email_verified
        user.email_verified = True
        await user.save(update_fields=["email_verified"])
        ended = await set_password(user, new_hash, "password_reset", now, end_credentials=end_credentials)
        await mails.notify(transaction, "password_changed", user, user.email, now)
        await changes.record(transaction, user.id, [*ended, Change("verified", str(user.id), email=user.email)], now)
    log.info("password_reset", user=str(user.id), credentials_ended=end_credentials)
    return user


async def change(
    caller: Principal,
    current_password: str,
    new_password: str,
    session: str,
    *,
    managed: str,
    check: PasswordCheck,
    passwords: Passwords,
    mails: PendingMails,
    changes: ChangeLog,
    now: datetime,
) -> User:
    """Set another password for ``caller``, whose ``session`` goes on while all others end.

    Raises :class:`WrongPassword`, :class:`TooManyAttempts`, :class:`WeakPassword`, :class:`SessionEnded`,
    :class:`ManagedAccount`, :class:`TooManyMails`, :class:`Forbidden`.
    """
    found = await own_account(caller, managed)
    await check.require(found, current_password, session, "current_password", now)
    password_rules.check(new_password, found.email, "new_password", name=found.name)
    new_hash = await passwords.hash(new_password, Turn(str(found.id), known=True))
    async with in_transaction(CONNECTION) as transaction:
        user = await lock_checked(found, session, now)
        user.password_hash = new_hash
        await user.save(update_fields=["password_hash"])
        await end_links(user)
        ended = await sessions.end_others(user.id, session, "password_changed", now)
        await devices.remove_all(user.id)
        if user.email_verified:
            await mails.notify(transaction, "password_changed", user, user.email, now)
        await changes.record(transaction, user.id, ended, now)
    log.info("password_changed", user=str(user.id))
    return user


def _no_such_user() -> NotFound:
    return NotFound("There is no such user.")
