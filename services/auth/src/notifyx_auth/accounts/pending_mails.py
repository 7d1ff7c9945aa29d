"""Mails about accounts that are still to be sent: recorded in the request that causes them, leased by gateways.

What is asked for by an address alone is recorded alike whether it is an account's: by one statement, in a row of one
size. A gateway finds out later whether there is one (:meth:`PendingMails.link`), at a moment that no answer shows. Of
one kind, one mail waits for each address; a request while it waits is answered by that mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.transactions import in_transaction

from notifyx_auth.accounts.links import CLAIM_AFTER, RESEND_AFTER, mail_key, replace_link
from notifyx_auth.base.errors import AlreadyVerified, TooManyMails
from notifyx_auth.base.models import AccountMail, EmailChange, PasswordReset, User, Verification
from notifyx_auth.base.secret_formats import LinkTokens, digest, email_key, email_keys
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.users.users import by_email, is_anothers
from notifyx_common.contracts.account_mails import (
    LEASE_SECONDS,
    NO_RECIPIENT,
    MailLink,
    PendingMail,
    RequestedKind,
    RequestedMail,
)
from notifyx_common.contracts.account_mails import PendingMails as Leased
from notifyx_common.database import CONNECTION
from notifyx_common.errors import NotFound

NoticeKind = Literal["password_changed", "email_change_requested", "email_changed"]

MAX_OF_KIND = 5000
"""About how many mails of one kind wait: a flood of one takes no place from another."""

NOTICE_LIFETIME = timedelta(days=1)
"""How long a notice is tried while it fails for reasons that may pass."""

_INSERT = """
INSERT INTO account_mails (id, key, kind, email, about, time_zone, linked, asked_at, next_at, expires_at)
SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::boolean,
       $8::timestamptz, $9::timestamptz, $10::timestamptz
WHERE (SELECT count(*) FROM (SELECT FROM account_mails WHERE kind = $3 LIMIT $11) waiting) < $11
"""

# The one that waits may be with a gateway already: it stays the same mail, and its lease goes on.
_REQUEST = f"""{_INSERT}
ON CONFLICT (key) DO UPDATE SET asked_at = excluded.asked_at, expires_at = excluded.expires_at
RETURNING id
"""

# What is newer is another mail: the end of the one before does not remove it.
_REPLACE = f"""{_INSERT}
ON CONFLICT (key) DO UPDATE SET id = excluded.id, email = excluded.email, about = excluded.about,
    time_zone = excluded.time_zone, linked = excluded.linked, asked_at = excluded.asked_at,
    next_at = excluded.next_at, expires_at = excluded.expires_at
RETURNING id
"""

# With jitter, so that those that failed together are not tried together for ever.
_LEASE = """
UPDATE account_mails SET next_at = $1::timestamptz + $2::interval * (0.8 + 0.4 * random())
WHERE id = ANY(ARRAY(
    SELECT id FROM account_mails WHERE next_at <= $1 AND expires_at > $1 ORDER BY next_at LIMIT $3
    FOR UPDATE SKIP LOCKED
))
RETURNING id, kind, email, about, time_zone, linked, asked_at
"""

_NEXT = "SELECT min(next_at) FROM account_mails WHERE expires_at > $1"


@dataclass(frozen=True, slots=True)
class PendingMails:
    """The mails that wait, and their links."""

    settings: AuthSettings
    tokens: LinkTokens

    async def request(self, pool: asyncpg.Pool, wanted: RequestedMail, now: datetime) -> None:
        """Record a mail that is asked for by its address alone. Raises :class:`TooManyMails`."""
        key = mail_key(wanted.kind, email_key(wanted.email) or wanted.email)
        lasts = self._lifetime(wanted.kind)
        row = (uuid4(), key, wanted.kind, wanted.email, "", "", False, now, now + timedelta(seconds=wanted.delay))
        if await pool.fetchval(_REQUEST, *row, now + lasts, MAX_OF_KIND) is None:
            raise _too_many()

    async def notify(
        self,
        transaction: BaseDBAsyncClient,
        kind: NoticeKind,
        user: User,
        to: str,
        now: datetime,
        *,
        about: str = "",
    ) -> None:
        """Record a notice ``to`` the verified address of ``user``; ``about`` is the new one.

        Raises :class:`TooManyMails`.
        """
        key = mail_key(kind, email_key(to) or to)
        row = [uuid4(), key, kind, to, about, user.time_zone, False, now, now, now + NOTICE_LIFETIME]
        await _replace(transaction, row)

    async def confirm(
        self, transaction: BaseDBAsyncClient, user: User, email: str, expires_at: datetime, now: datetime
    ) -> str:
        """Record the mail that has ``user`` prove ``email``; return the token of its link.

        Raises :class:`TooManyMails`.
        """
        mail_id, kind = uuid4(), "email_confirmation"
        row = [mail_id, mail_key(kind, str(user.id)), kind, email, "", user.time_zone, True, now, now, expires_at]
        await _replace(transaction, row)
        return self.tokens.token(mail_id)

    async def lease(self, pool: asyncpg.Pool, limit: int, now: datetime) -> Leased:
        """Return up to ``limit`` mails to work on, which nobody else gets for about :data:`LEASE_SECONDS`."""
        rows = await pool.fetch(_LEASE, now, timedelta(seconds=LEASE_SECONDS), limit)
        due = await pool.fetchval(_NEXT, now)
        return Leased(
            items=[PendingMail(**{**row, "id": str(row["id"])}) for row in rows],
            next_in=None if due is None else max(0.0, (due - now).total_seconds()),
        )

    async def link(self, mail_id: UUID, now: datetime) -> MailLink:
        """Return what a leased mail contains: its link is made, or as it was made before.

        Raises :class:`NotFound` if nobody has the address or the link has ended, :class:`AlreadyVerified`, and
        :class:`TooManyRequests` shortly after another link.
        """
        async with in_transaction(CONNECTION):
            # Not locked: a request for this address, which would wait, could tell by that that it is an account's.
            mail = await AccountMail.get_or_none(id=mail_id)
            if mail is None:
                raise _nobody()
            match mail.kind:
                case "password_reset":
                    return await self._reset_link(mail, now)
                case "claim" | "verification":
                    return await self._verification_link(mail, mail.kind, now)
                case "email_confirmation":
                    return await self._confirmation_link(mail, now)
        raise _nobody()

    async def remove(self, mail_id: UUID) -> None:
        """Remove a mail that needs no more attempts; one that is not there is no error."""
        await AccountMail.filter(id=mail_id).delete()

    async def _reset_link(self, mail: AccountMail, now: datetime) -> MailLink:
        user = await _locked(mail)
        fresh = not mail.linked
        managed = user.email_key in email_keys(self.settings.admin_email)
        ends = now + self._lifetime("password_reset")
        if not managed:
            ends = await self._place(PasswordReset, mail, user, RESEND_AFTER, self._lifetime("password_reset"), now)
        await _linked(mail)
        token = "" if managed else self.tokens.token(mail.id)
        return MailLink(
            to=user.email, time_zone=user.time_zone, token=token, expires_at=ends, managed=managed, fresh=fresh
        )

    async def _verification_link(
        self, mail: AccountMail, kind: Literal["claim", "verification"], now: datetime
    ) -> MailLink:
        user = await _locked(mail)
        fresh = not mail.linked
        if user.email_verified:
            raise AlreadyVerified("This email is verified already.")
        pace = CLAIM_AFTER if kind == "claim" else RESEND_AFTER
        ends = await self._place(Verification, mail, user, pace, self._lifetime(kind), now)
        await _linked(mail)
        return MailLink(
            to=user.email, time_zone=user.time_zone, token=self.tokens.token(mail.id), expires_at=ends, fresh=fresh
        )

    async def _confirmation_link(self, mail: AccountMail, now: datetime) -> MailLink:
        token = self.tokens.token(mail.id)
        change = await EmailChange.get_or_none(hash=digest(token), expires_at__gt=now).select_related("user")
        if change is None:
            raise _nobody()
        taken = await is_anothers(change.email, change.user)
        shown = "" if taken else token
        return MailLink(
            to=change.email, time_zone=mail.time_zone, token=shown, expires_at=change.expires_at, taken=taken
        )

    async def _place(
        self,
        kind: type[Verification] | type[PasswordReset],
        mail: AccountMail,
        user: User,
        pace: timedelta,
        lifetime: timedelta,
        now: datetime,
    ) -> datetime:
        """Make the link of ``mail``, or prolong the one that was made; return when it ends."""
        token = self.tokens.token(mail.id)
        if not mail.linked:
            return await replace_link(kind, user, token, pace=pace, lifetime=lifetime, now=now)
        # It was used, replaced or ended meanwhile: it must not come back.
        ends = now + lifetime
        if not await kind.filter(user=user, hash=digest(token)).update(expires_at=ends):
            raise _nobody()
        return ends

    def _lifetime(self, kind: RequestedKind) -> timedelta:
        if kind == "password_reset":
            return timedelta(minutes=self.settings.password_reset_minutes)
        return timedelta(hours=self.settings.verification_hours)


async def _replace(transaction: BaseDBAsyncClient, row: list[object]) -> None:
    if not await transaction.execute_query_dict(_REPLACE, [*row, MAX_OF_KIND]):
        raise _too_many()


async def _locked(mail: AccountMail) -> User:
    """Return the user with the address, whose row is locked, so that a link is made once."""
    user = await by_email(mail.email, locked=True)
    # Another gateway may have made the link, or have ended the mail, meanwhile.
    current = await AccountMail.get_or_none(id=mail.id)
    if user is None or current is None:
        raise _nobody()
    mail.linked = current.linked
    return user


async def _linked(mail: AccountMail) -> None:
    if not mail.linked:
        await AccountMail.filter(id=mail.id).update(linked=True)


def _nobody() -> NotFound:
    return NotFound("There is nobody to send this mail to, or its link has ended.", code=NO_RECIPIENT)


def _too_many() -> TooManyMails:
    return TooManyMails("Too many mails wait to be sent at the moment; try again in a minute.", retry_after=60.0)
