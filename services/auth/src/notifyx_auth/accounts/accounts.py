"""The calls of ``contracts.accounts``, ``.departures`` and ``.account_mails``, made of the modules of this room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from notifyx_auth.accounts import departures, email_changes, links, new_passwords
from notifyx_auth.accounts.own_account import CHANGE
from notifyx_auth.accounts.pending_mails import PendingMails
from notifyx_auth.base.credential_changes import ChangeLog
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.sessions.password_check import PasswordCheck
from notifyx_auth.users import users
from notifyx_auth.users.passwords import Passwords
from notifyx_common.clock import Clock
from notifyx_common.contracts import account_mails
from notifyx_common.contracts.accounts import (
    AwaitedEmail,
    ChangedEmail,
    EmailChangeCall,
    EmailChangeState,
    EmailConfirmation,
    LinkCheck,
    NewPassword,
    PasswordChangeCall,
    PasswordReset,
    PasswordResetRequest,
    PendingEmail,
    Profile,
)
from notifyx_common.contracts.auth import User
from notifyx_common.contracts.departures import DeleteAccountCall, Departure, Departures, DepartureStepCall
from notifyx_common.database import Database
from notifyx_common.errors import NotFound
from notifyx_common.principal import Principal


@dataclass(frozen=True, slots=True)
class Accounts:
    """Every method raises :class:`Unavailable` while the database is away, and what the module that it calls does."""

    settings: AuthSettings
    database: Database
    passwords: Passwords
    check: PasswordCheck
    mails: PendingMails
    changes: ChangeLog
    clock: Clock

    async def request_reset(self, wanted: PasswordResetRequest) -> PasswordReset:
        """Return the token of a link that sets a new password."""
        lifetime = timedelta(minutes=self.settings.password_reset_minutes)
        async with self.database.guard():
            return await new_passwords.request_reset(
                wanted.email, self.settings.admin_email, lifetime, self.clock.now()
            )

    async def reset(self, wanted: NewPassword) -> User:
        """Set the password of the account whose link this is."""
        async with self.database.guard():
            user = await new_passwords.reset(
                wanted.token.get_secret_value(),
                wanted.new_password.get_secret_value(),
                end_credentials=wanted.end_credentials,
                passwords=self.passwords,
                mails=self.mails,
                changes=self.changes,
                now=self.clock.now(),
            )
        return users.to_response(user)

    async def change_password(self, caller: Principal, call: PasswordChangeCall) -> User:
        """Set another password for the caller."""
        wanted = call.body
        async with self.database.guard():
            user = await new_passwords.change(
                caller,
                wanted.current_password.get_secret_value(),
                wanted.new_password.get_secret_value(),
                call.session,
                managed=self.settings.admin_email,
                check=self.check,
                passwords=self.passwords,
                mails=self.mails,
                changes=self.changes,
                now=self.clock.now(),
            )
        return users.to_response(user)

    async def set_profile(self, caller: Principal, wanted: Profile) -> User:
        """Store the caller's name."""
        users.require_user(caller, CHANGE)
        async with self.database.guard():
            return users.to_response(await users.set_name(caller.id, wanted.name, self.changes, self.clock.now()))

    async def request_email(self, caller: Principal, call: EmailChangeCall) -> PendingEmail:
        """Have a link mailed that proves the address that the caller wants."""
        wanted = call.body
        async with self.database.guard():
            return await email_changes.request(
                caller,
                wanted.email,
                wanted.password.get_secret_value(),
                call.session,
                managed=self.settings.admin_email,
                check=self.check,
                mails=self.mails,
                changes=self.changes,
                lifetime=timedelta(hours=self.settings.email_change_hours),
                now=self.clock.now(),
            )

    async def email_change_state(self, caller: Principal) -> EmailChangeState:
        """Return the address that awaits its confirmation."""
        async with self.database.guard():
            return await email_changes.state(caller, self.clock.now())

    async def cancel_email_change(self, caller: Principal) -> None:
        """End the link to the address that awaits its confirmation."""
        async with self.database.guard():
            await email_changes.cancel(
                caller, managed=self.settings.admin_email, changes=self.changes, now=self.clock.now()
            )

    async def check_email(self, caller: Principal, wanted: EmailConfirmation) -> AwaitedEmail:
        """Return the address whose link this is."""
        async with self.database.guard():
            return await email_changes.check(
                caller, wanted.token.get_secret_value(), managed=self.settings.admin_email, now=self.clock.now()
            )

    async def check_link(self, wanted: LinkCheck) -> None:
        """Return if a link can be used."""
        async with self.database.guard():
            await links.check_link(wanted.kind, wanted.token.get_secret_value(), self.clock.now())

    async def confirm_email(self, caller: Principal, wanted: EmailConfirmation) -> ChangedEmail:
        """Give the caller the address whose link this is."""
        async with self.database.guard():
            return await email_changes.confirm(
                caller,
                wanted.token.get_secret_value(),
                managed=self.settings.admin_email,
                mails=self.mails,
                changes=self.changes,
                now=self.clock.now(),
            )

    async def delete(self, caller: Principal, call: DeleteAccountCall) -> Departure:
        """Delete the caller's account."""
        async with self.database.guard():
            return await departures.begin(
                caller,
                call.body,
                call.session,
                managed=self.settings.admin_email,
                check=self.check,
                changes=self.changes,
                now=self.clock.now(),
            )

    async def lease_departures(self) -> Departures:
        """Return departures for the caller to work on."""
        async with self.database.guard():
            return Departures(items=await departures.lease(self.database.pool, self.changes, self.clock.now()))

    async def record_step(self, call: DepartureStepCall) -> None:
        """Record a step of a departure."""
        async with self.database.guard():
            await departures.record(call.user_id, call.body, self.changes, self.clock.now())

    async def request_mail(self, wanted: account_mails.RequestedMail) -> None:
        """Record a mail that somebody asks for."""
        async with self.database.guard():
            await self.mails.request(self.database.pool, wanted, self.clock.now())

    async def lease_mails(self, wanted: account_mails.LeaseMails) -> account_mails.PendingMails:
        """Return mails for the caller to work on."""
        async with self.database.guard():
            return await self.mails.lease(self.database.pool, wanted.limit, self.clock.now())

    async def mail_link(self, mail: account_mails.PendingMailPath) -> account_mails.MailLink:
        """Return what a leased mail contains."""
        if mail.uuid is None:
            raise NotFound("There is no such mail.", code=account_mails.NO_RECIPIENT)
        async with self.database.guard():
            return await self.mails.link(mail.uuid, self.clock.now())

    async def remove_mail(self, mail: account_mails.PendingMailPath) -> None:
        """Remove a mail that needs no more attempts."""
        if mail.uuid is not None:
            async with self.database.guard():
                await self.mails.remove(mail.uuid)
