"""HTTP routes for the calls of ``contracts.auth``, on :class:`~notifyx_auth.service.Auth`."""

from __future__ import annotations

from quart import Quart

from notifyx_auth.accounts.accounts import Accounts
from notifyx_auth.credentials import api_keys, stream_tickets
from notifyx_auth.service import Auth
from notifyx_auth.sessions import own_sessions
from notifyx_common.contracts import account_mails, accounts, departures, hooks, sessions
from notifyx_common.contracts import auth as calls
from notifyx_common.contracts import stream_tickets as tickets
from notifyx_common.contracts.call import Raw
from notifyx_common.principal import Principal
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller

_NO_STORE = {"Cache-Control": "no-store"}
"""RFC 6749 5.1: for every answer that holds a credential."""


def add_routes(app: Quart, auth: Auth) -> None:
    """Serve ``auth`` on ``app``."""
    _add_users(app, auth)
    _add_accounts(app, auth.accounts)
    _add_departures(app, auth.accounts)
    _add_account_mails(app, auth.accounts)
    _add_tokens(app, auth)
    _add_sessions(app, auth)
    _add_api_keys(app, auth)
    _add_hooks(app, auth)
    _add_stream_tickets(app, auth)


def _add_users(app: Quart, auth: Auth) -> None:
    @handle(app, calls.SIGN_UP)
    async def sign_up(wanted: calls.SignUpCall) -> calls.User:
        return await auth.sign_up(wanted)

    @handle(app, calls.ME)
    async def me(_: None) -> calls.User:
        return await auth.me(caller())

    @handle(app, calls.SET_TIME_ZONE)
    async def set_time_zone(wanted: calls.TimeZone) -> calls.User:
        return await auth.set_time_zone(caller(), wanted)

    @handle(app, calls.REQUEST_VERIFICATION, headers=_NO_STORE)
    async def request_verification(_: None) -> calls.EmailToken:
        return await auth.request_verification(caller())

    @handle(app, calls.CLAIM_EMAIL, headers=_NO_STORE)
    async def claim_email(wanted: calls.EmailClaim) -> calls.EmailToken:
        return await auth.claim(wanted)

    @handle(app, calls.VERIFY_EMAIL)
    async def verify_email(wanted: calls.VerifyRequest) -> calls.User:
        return await auth.verify(wanted)

    @handle(app, calls.RESOLVE_USERS)
    async def resolve(wanted: calls.ResolveUsers) -> calls.ResolvedUsers:
        return await auth.resolve(wanted)


def _add_accounts(app: Quart, own: Accounts) -> None:
    @handle(app, accounts.REQUEST_PASSWORD_RESET, headers=_NO_STORE)
    async def request_reset(wanted: accounts.PasswordResetRequest) -> accounts.PasswordReset:
        return await own.request_reset(wanted)

    @handle(app, accounts.RESET_PASSWORD)
    async def reset(wanted: accounts.NewPassword) -> calls.User:
        return await own.reset(wanted)

    @handle(app, accounts.CHANGE_PASSWORD)
    async def change_password(wanted: accounts.PasswordChangeCall) -> calls.User:
        return await own.change_password(caller(), wanted)

    @handle(app, accounts.SET_PROFILE)
    async def set_profile(wanted: accounts.Profile) -> calls.User:
        return await own.set_profile(caller(), wanted)

    @handle(app, accounts.REQUEST_EMAIL_CHANGE, headers=_NO_STORE)
    async def request_email(wanted: accounts.EmailChangeCall) -> accounts.PendingEmail:
        return await own.request_email(caller(), wanted)

    @handle(app, accounts.EMAIL_CHANGE_STATE)
    async def email_change_state(_: None) -> accounts.EmailChangeState:
        return await own.email_change_state(caller())

    @handle(app, accounts.CANCEL_EMAIL_CHANGE)
    async def cancel_email_change(_: None) -> None:
        await own.cancel_email_change(caller())

    @handle(app, accounts.CHECK_LINK)
    async def check_link(wanted: accounts.LinkCheck) -> None:
        await own.check_link(wanted)

    @handle(app, accounts.CHECK_EMAIL_CHANGE)
    async def check_email(wanted: accounts.EmailConfirmation) -> accounts.AwaitedEmail:
        return await own.check_email(caller(), wanted)

    @handle(app, accounts.CONFIRM_EMAIL_CHANGE)
    async def confirm_email(wanted: accounts.EmailConfirmation) -> accounts.ChangedEmail:
        return await own.confirm_email(caller(), wanted)


def _add_departures(app: Quart, own: Accounts) -> None:
    @handle(app, departures.DELETE_ACCOUNT)
    async def delete_account(wanted: departures.DeleteAccountCall) -> departures.Departure:
        return await own.delete(caller(), wanted)

    @handle(app, departures.LEASE_DEPARTURES)
    async def lease_departures(_: None) -> departures.Departures:
        return await own.lease_departures()

    @handle(app, departures.DEPARTURE_STEP)
    async def record_step(wanted: departures.DepartureStepCall) -> None:
        await own.record_step(wanted)


def _add_account_mails(app: Quart, own: Accounts) -> None:
    @handle(app, account_mails.REQUEST_MAIL)
    async def request_mail(wanted: account_mails.RequestedMail) -> None:
        await own.request_mail(wanted)

    @handle(app, account_mails.LEASE_MAILS)
    async def lease_mails(wanted: account_mails.LeaseMails) -> account_mails.PendingMails:
        return await own.lease_mails(wanted)

    @handle(app, account_mails.MAIL_LINK, headers=_NO_STORE)
    async def mail_link(mail: account_mails.PendingMailPath) -> account_mails.MailLink:
        return await own.mail_link(mail)

    @handle(app, account_mails.REMOVE_MAIL)
    async def remove_mail(mail: account_mails.PendingMailPath) -> None:
        await own.remove_mail(mail)


def _add_tokens(app: Quart, auth: Auth) -> None:
    # RFC 6749's code for a request that fails validation.
    @handle(app, calls.TOKEN, headers=_NO_STORE, invalid_code="invalid_request")
    async def token(wanted: calls.TokenCall) -> calls.TokenResponse:
        return await auth.token(wanted)

    @handle(app, calls.SIGN_IN, headers=_NO_STORE, invalid_code="invalid_request")
    async def sign_in(wanted: calls.SignInCall) -> calls.TokenResponse:
        return await auth.sign_in(wanted)

    @handle(app, calls.REVOKE_TOKEN)
    async def revoke(wanted: calls.RevokeRequest) -> None:
        await auth.revoke(wanted)

    @handle(app, calls.CREDENTIAL_CHANGES)
    async def credential_changes(wanted: calls.CredentialChangesAfter) -> calls.CredentialChanges:
        return await auth.credential_changes(wanted)

    @handle(app, calls.JWKS, content_type="application/jwk-set+json")
    async def jwks(_: None) -> Raw[calls.JwkSet]:
        return Raw(auth.keyring.jwks())


def _add_sessions(app: Quart, auth: Auth) -> None:
    @handle(app, sessions.SESSIONS)
    async def list_sessions(own: sessions.OwnSession) -> sessions.Sessions:
        async with auth.database.guard():
            return sessions.Sessions(items=await own_sessions.of_user(caller(), own.session, auth.clock.now()))

    @handle(app, sessions.END_SESSION)
    async def end_session(wanted: sessions.SessionPath) -> None:
        async with auth.database.guard():
            await own_sessions.end(caller(), wanted.session_id, auth.changes, auth.clock.now())

    @handle(app, sessions.END_OTHER_SESSIONS)
    async def end_other_sessions(own: sessions.OwnSession) -> sessions.EndedSessions:
        async with auth.database.guard():
            ended = await own_sessions.end_others(caller(), own.session, auth.changes, auth.clock.now())
        return sessions.EndedSessions(ended=ended)


def _add_api_keys(app: Quart, auth: Auth) -> None:
    @handle(app, calls.CREATE_API_KEY, headers=_NO_STORE)
    async def create_api_key(wanted: calls.ApiKeyCall) -> calls.CreatedApiKey:
        async with auth.database.guard():
            return await api_keys.create(caller(), wanted.body, wanted.session, auth.changes, auth.clock.now())

    @handle(app, calls.API_KEYS)
    async def list_api_keys(_: None) -> calls.ApiKeys:
        async with auth.database.guard():
            return calls.ApiKeys(items=await api_keys.of_owner(caller()))

    @handle(app, calls.DELETE_API_KEY)
    async def delete_api_key(key: calls.ApiKeyPath) -> None:
        async with auth.database.guard():
            await api_keys.delete(caller(), key.key_id, auth.changes, auth.clock.now())

    @handle(app, calls.VERIFY_API_KEY)
    async def verify_api_key(wanted: calls.VerifyKey) -> Principal:
        return await auth.verify_api_key(wanted)


def _add_hooks(app: Quart, auth: Auth) -> None:
    @handle(app, hooks.CREATE_HOOK, headers=_NO_STORE)
    async def create(wanted: hooks.HookCall) -> hooks.CreatedHook:
        async with auth.database.guard():
            return await auth.hooks.create(caller(), wanted.body, wanted.session, auth.clock.now())

    @handle(app, hooks.HOOKS)
    async def of_owner(_: None) -> hooks.Hooks:
        async with auth.database.guard():
            return hooks.Hooks(items=await auth.hooks.of_owner(caller()))

    @handle(app, hooks.ROTATE_HOOK, headers=_NO_STORE)
    async def rotate(wanted: hooks.RotateHook) -> hooks.CreatedHook:
        async with auth.database.guard():
            return await auth.hooks.rotate(caller(), wanted, auth.clock.now())

    @handle(app, hooks.DELETE_HOOK)
    async def delete(hook: hooks.HookPath) -> None:
        async with auth.database.guard():
            await auth.hooks.delete(caller(), hook.hook_id, auth.clock.now())

    @handle(app, hooks.OPEN_HOOK, headers=_NO_STORE)
    async def open_hook(wanted: hooks.OpenHook) -> hooks.OpenedHook:
        return await auth.open_hook(wanted)

    @handle(app, hooks.USED_HOOK)
    async def used(hook: hooks.HookPath) -> None:
        async with auth.database.guard():
            await auth.hooks.record_signed_use(hook.hook_id, auth.clock.now())


def _add_stream_tickets(app: Quart, auth: Auth) -> None:
    @handle(app, tickets.CREATE_STREAM_TICKET, headers=_NO_STORE)
    async def create_ticket(wanted: tickets.StreamTicketCall) -> tickets.StreamTicket:
        async with auth.database.guard():
            return await stream_tickets.create(caller(), wanted, auth.clock.now())

    @handle(app, tickets.USE_STREAM_TICKET, headers=_NO_STORE)
    async def use_ticket(wanted: tickets.UseStreamTicket) -> tickets.UsedStreamTicket:
        return await auth.use_stream_ticket(wanted)
