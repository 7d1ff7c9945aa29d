"""Another address for an account: it is proved by a link in a mail first, and only then takes the place of the old one.

The link counts for the user who asked for it alone, signed in: so nobody is led to lend their mailbox to an account of
somebody else. Whether another account has the address is found out in the mail only, by whoever reads that mailbox.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from notifyx_auth.accounts.links import RESEND_AFTER, end_links, require_pace
from notifyx_auth.accounts.own_account import own_account
from notifyx_auth.accounts.pending_mails import PendingMails
from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.errors import EmailTaken, InvalidLink
from notifyx_auth.base.models import EmailChange, User
from notifyx_auth.base.secret_formats import digest, email_key
from notifyx_auth.sessions.password_check import PasswordCheck, lock_checked
from notifyx_auth.users.users import by_id, invalid_email, is_anothers, lock, to_response
from notifyx_common.contracts.accounts import AwaitedEmail, ChangedEmail, EmailChangeState, PendingEmail
from notifyx_common.database import CONNECTION
from notifyx_common.errors import InvalidRequest, NotFound
from notifyx_common.logs import get_logger
from notifyx_common.principal import Principal

log = get_logger(__name__)


async def request(
    caller: Principal,
    email: str,
    password: str,
    session: str,
    *,
    managed: str,
    check: PasswordCheck,
    mails: PendingMails,
    changes: ChangeLog,
    lifetime: timedelta,
    now: datetime,
) -> PendingEmail:
    """Have a link mailed to ``email`` that proves it, in place of an earlier one, and a notice to a verified address.

    The token is returned for gateways of the previous release, which mail it too.

    Raises :class:`WrongPassword`, :class:`TooManyAttempts`, :class:`TooManyRequests`, :class:`SessionEnded`,
    :class:`ManagedAccount`, :class:`TooManyMails`, :class:`Forbidden`, and :class:`InvalidRequest` for no address, or
    that of the account.
    """
    found = await own_account(caller, managed)
    if email_key(email) is None:
        raise invalid_email()
    await check.require(found, password, session, "password", now)
    if email == found.email:
        raise InvalidRequest.of_field("email", "This is the address of your account already.")
    ends = now + lifetime
    async with in_transaction(CONNECTION) as transaction:
        user = await lock_checked(found, session, now)
        require_pace(await EmailChange.get_or_none(user=user), RESEND_AFTER, now)
        await EmailChange.filter(user=user).delete()
        token = await mails.confirm(transaction, user, email, ends, now)
        await EmailChange.create(user=user, hash=digest(token), email=email, created_at=now, expires_at=ends)
        if user.email_verified:
            await mails.notify(transaction, "email_change_requested", user, user.email, now, about=email)
        taken = await is_anothers(email, user)
        await changes.record(transaction, user.id, [], now)
    return PendingEmail(user=to_response(user), email=email, taken=taken, token=token, expires_at=ends, recorded=True)


async def check(caller: Principal, token: str, *, managed: str, now: datetime) -> AwaitedEmail:
    """Return the address that ``token`` would give ``caller``, and do not spend it.

    Raises :class:`InvalidLink`, :class:`ManagedAccount` and :class:`Forbidden`.
    """
    return AwaitedEmail(email=(await _open_change(await own_account(caller, managed), token, now)).email)


async def state(caller: Principal, now: datetime) -> EmailChangeState:
    """Return the address that ``caller`` has asked for and not confirmed. Raises :class:`NotFound` for no user."""
    row = await EmailChange.get_or_none(user=await by_id(caller.id), expires_at__gt=now)
    return EmailChangeState() if row is None else EmailChangeState(email=row.email, expires_at=row.expires_at)


async def cancel(caller: Principal, *, managed: str, changes: ChangeLog, now: datetime) -> None:
    """End the link to the address that ``caller`` has asked for.

    It goes on to count for the pace of further mails. Raises :class:`NotFound` where none awaits its confirmation,
    :class:`ManagedAccount` and :class:`Forbidden`.
    """
    found = await own_account(caller, managed)
    async with in_transaction(CONNECTION) as transaction:
        if not await EmailChange.filter(user=found, expires_at__gt=now).update(expires_at=now):
            raise NotFound("No new address awaits your confirmation.")
        await changes.record(transaction, found.id, [], now)


async def confirm(
    caller: Principal, token: str, *, managed: str, mails: PendingMails, changes: ChangeLog, now: datetime
) -> ChangedEmail:
    """Spend ``token``: its address is that of ``caller``, and verified. Links to the old one end.

    Raises :class:`InvalidLink`, :class:`EmailTaken` and :class:`TooManyMails`, which do not spend the token, and
    :class:`Forbidden`.
    """
    found = await own_account(caller, managed)
    try:
        async with in_transaction(CONNECTION) as transaction:
            user = await lock(found.id)
            row = await _open_change(user, token, now)
            if await is_anothers(row.email, user):
                raise _taken()
            previous, former = user.email if user.email_verified else "", user.email_key
            user.email, user.email_key, user.email_verified = row.email, email_key(row.email) or "", True
            await user.save(update_fields=["email", "email_key", "email_verified"])
            await end_links(user, former)
            if previous:
                await mails.notify(transaction, "email_changed", user, previous, now, about=user.email)
            await changes.record(transaction, user.id, [Change("verified", str(user.id), email=user.email)], now)
    except IntegrityError:
        raise _taken() from None
    log.info("email_changed", user=str(user.id))
    return ChangedEmail(user=to_response(user), previous=previous)


def _taken() -> EmailTaken:
    return EmailTaken("Another account has this address now. Yours keeps the one that it has.")


async def _open_change(user: User, token: str, now: datetime) -> EmailChange:
    row = await EmailChange.get_or_none(user=user, hash=digest(token), expires_at__gt=now)
    if row is None:
        raise InvalidLink(
            "This link is not valid (any more), or is for another account than the one that you are signed in with. "
            "Ask for a new mail."
        )
    return row
