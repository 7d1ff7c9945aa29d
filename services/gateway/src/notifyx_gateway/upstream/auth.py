"""The gateway's client of auth: accounts, credentials, and users by id or email."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from pydantic import SecretStr

from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts import accounts, hooks
from notifyx_common.contracts import auth as calls
from notifyx_common.contracts import sessions as session_calls
from notifyx_common.contracts import stream_tickets as tickets
from notifyx_common.errors import NotFound
from notifyx_common.principal import Principal
from notifyx_common.tokens import VerifiedToken

AUTH_TRY_TIMEOUT = 10.0
"""Timeout of one attempt of a call to auth, in seconds: where many sign in at once, passwords wait for a thread."""


class Auth:
    """The calls of auth. Each raises the :class:`~notifyx_common.errors.NotifyxError` that applies to its caller."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def sign_up(self, wanted: calls.SignUp, address: str) -> calls.User:
        """Create a user, for the client at ``address``."""
        return await self._client.send(calls.SIGN_UP, calls.SignUpCall(wanted, address))

    async def me(self, principal: Principal) -> calls.User:
        """Return the caller as a user."""
        return await self._client.send(calls.ME, None, principal=principal)

    async def set_time_zone(self, principal: Principal, wanted: calls.TimeZone) -> calls.User:
        """Store the caller's time zone."""
        return await self._client.send(calls.SET_TIME_ZONE, wanted, principal=principal)

    async def request_verification(self, principal: Principal) -> calls.EmailToken:
        """Create a token that verifies the caller's address, to be mailed to it."""
        return await self._client.send(calls.REQUEST_VERIFICATION, None, principal=principal)

    async def verify_email(self, wanted: calls.VerifyRequest) -> calls.User:
        """Verify the address that a token was mailed to."""
        return await self._client.send(calls.VERIFY_EMAIL, wanted)

    async def reset_password(self, wanted: accounts.NewPassword) -> calls.User:
        """Set the password of the account that a token was mailed to."""
        return await self._client.send(accounts.RESET_PASSWORD, wanted)

    async def check_link(self, wanted: accounts.LinkCheck) -> None:
        """Return if the link of a token can be used. Raises ``invalid_link``."""
        await self._client.send(accounts.CHECK_LINK, wanted)

    async def check_email_change(
        self, principal: Principal, wanted: accounts.EmailConfirmation
    ) -> accounts.AwaitedEmail:
        """Return the address that a token was mailed to, for the caller's account. Raises ``invalid_link``."""
        return await self._client.send(accounts.CHECK_EMAIL_CHANGE, wanted, principal=principal)

    async def change_password(self, principal: Principal, wanted: accounts.PasswordChange) -> calls.User:
        """Set another password for the caller."""
        call = accounts.PasswordChangeCall(wanted, principal.session or "")
        return await self._client.send(accounts.CHANGE_PASSWORD, call, principal=principal)

    async def set_profile(self, principal: Principal, wanted: accounts.Profile) -> calls.User:
        """Store the caller's name."""
        return await self._client.send(accounts.SET_PROFILE, wanted, principal=principal)

    async def request_email_change(self, principal: Principal, wanted: accounts.EmailChange) -> accounts.PendingEmail:
        """Have a link mailed that proves the address that the caller wants."""
        call = accounts.EmailChangeCall(wanted, principal.session or "")
        return await self._client.send(accounts.REQUEST_EMAIL_CHANGE, call, principal=principal)

    async def email_change_state(self, principal: Principal) -> accounts.EmailChangeState:
        """Return the address of the caller's that awaits its confirmation."""
        return await self._client.send(accounts.EMAIL_CHANGE_STATE, None, principal=principal)

    async def cancel_email_change(self, principal: Principal) -> None:
        """End the link to that address. Raises :class:`~notifyx_common.errors.NotFound` where there is none."""
        await self._client.send(accounts.CANCEL_EMAIL_CHANGE, None, principal=principal)

    async def confirm_email_change(
        self, principal: Principal, wanted: accounts.EmailConfirmation
    ) -> accounts.ChangedEmail:
        """Give the caller the address that a token was mailed to."""
        return await self._client.send(accounts.CONFIRM_EMAIL_CHANGE, wanted, principal=principal)

    async def token(self, wanted: calls.TokenRequest, address: str, user_agent: str) -> calls.TokenResponse:
        """Grant tokens (RFC 6749) to the client ``user_agent`` at ``address``."""
        if wanted.grant_type == "password":
            try:
                sign_in = calls.SignInCall(uuid4().hex, wanted, address, user_agent)
                return await self._client.send(calls.SIGN_IN, sign_in)
            except NotFound as error:
                if error.code != NotFound.code:
                    raise  # else it is an auth of the previous release
        return await self._client.send(calls.TOKEN, calls.TokenCall(wanted, address, user_agent))

    async def revoke(self, wanted: calls.RevokeRequest) -> None:
        """Revoke a refresh token (RFC 7009)."""
        await self._client.send(calls.REVOKE_TOKEN, wanted)

    async def sessions(self, principal: Principal) -> session_calls.Sessions:
        """List the caller's sessions."""
        own = session_calls.OwnSession(principal.session or "")
        return await self._client.send(session_calls.SESSIONS, own, principal=principal)

    async def end_session(self, principal: Principal, session_id: str) -> None:
        """End one of the caller's sessions. Raises :class:`~notifyx_common.errors.NotFound`."""
        await self._client.send(session_calls.END_SESSION, session_calls.SessionPath(session_id), principal=principal)

    async def end_other_sessions(self, principal: Principal) -> session_calls.EndedSessions:
        """End all of the caller's sessions but the one that asks."""
        own = session_calls.OwnSession(principal.session or "")
        return await self._client.send(session_calls.END_OTHER_SESSIONS, own, principal=principal)

    async def create_api_key(self, principal: Principal, wanted: calls.NewApiKey) -> calls.CreatedApiKey:
        """Create an API key for the caller."""
        call = calls.ApiKeyCall(wanted, principal.session or "")
        return await self._client.send(calls.CREATE_API_KEY, call, principal=principal)

    async def api_keys(self, principal: Principal) -> calls.ApiKeys:
        """List the caller's API keys."""
        return await self._client.send(calls.API_KEYS, None, principal=principal)

    async def delete_api_key(self, principal: Principal, key_id: str) -> None:
        """Delete one of the caller's API keys."""
        await self._client.send(calls.DELETE_API_KEY, calls.ApiKeyPath(key_id), principal=principal)

    async def verify_api_key(self, key: str) -> Principal:
        """Return the principal of an API key. Raises :class:`~notifyx_common.errors.Unauthenticated`."""
        return await self._client.send(calls.VERIFY_API_KEY, calls.VerifyKey(key=SecretStr(key)))

    async def create_hook(self, principal: Principal, wanted: hooks.TopicHook) -> hooks.CreatedHook:
        """Create the secret of a webhook for the caller."""
        call = hooks.HookCall(wanted, principal.session or "")
        return await self._client.send(hooks.CREATE_HOOK, call, principal=principal)

    async def list_hooks(self, principal: Principal) -> hooks.Hooks:
        """List the caller's secrets of webhooks."""
        return await self._client.send(hooks.HOOKS, None, principal=principal)

    async def rotate_hook(
        self, principal: Principal, hook_id: str, wanted: hooks.HookRotation | None
    ) -> hooks.CreatedHook:
        """Replace the secrets of one of the caller's webhooks."""
        return await self._client.send(hooks.ROTATE_HOOK, hooks.RotateHook(hook_id, wanted), principal=principal)

    async def delete_hook(self, principal: Principal, hook_id: str) -> None:
        """Delete the secret of one of the caller's webhooks."""
        await self._client.send(hooks.DELETE_HOOK, hooks.HookPath(hook_id), principal=principal)

    async def open_hook(self, hook_id: str, secret: str | None) -> hooks.OpenedHook:
        """Return what a webhook may do. Raises :class:`~notifyx_common.errors.Unauthenticated`."""
        wanted = hooks.OpenHook(hook_id=hook_id, secret=None if secret is None else SecretStr(secret))
        return await self._client.send(hooks.OPEN_HOOK, wanted)

    async def used_hook(self, hook_id: str) -> None:
        """Report that a signature of this webhook was verified."""
        await self._client.send(hooks.USED_HOOK, hooks.HookPath(hook_id))

    async def create_stream_ticket(self, verified: VerifiedToken, topic: str) -> tickets.StreamTicket:
        """Create a ticket that opens one stream of ``topic`` for the caller."""
        principal = verified.principal
        wanted = tickets.NewStreamTicket(topic=topic)
        call = tickets.StreamTicketCall(wanted, verified.expires_at, principal.session or "")
        return await self._client.send(tickets.CREATE_STREAM_TICKET, call, principal=principal)

    async def use_stream_ticket(self, ticket: str) -> tickets.UsedStreamTicket:
        """Return what a ticket opens; it ends. Raises :class:`~notifyx_common.errors.Unauthenticated`."""
        return await self._client.send(tickets.USE_STREAM_TICKET, tickets.UseStreamTicket(ticket=SecretStr(ticket)))

    async def resolve(self, users: Sequence[str], *, deadline: float) -> Mapping[str, calls.ResolvedUser]:
        """Find users by ids or emails within ``deadline`` seconds; those that are not found are absent."""
        wanted = calls.ResolveUsers(users=list(users))
        return (await self._client.send(calls.RESOLVE_USERS, wanted, deadline=deadline)).users

    async def credential_changes(self, after: int, *, deadline: float, try_timeout: float) -> calls.CredentialChanges:
        """Read what has changed of credentials after the change ``after``; times in seconds."""
        wanted = calls.CredentialChangesAfter(after, accounts=True)
        return await self._client.send(calls.CREDENTIAL_CHANGES, wanted, deadline=deadline, try_timeout=try_timeout)

    async def signing_keys(self, *, deadline: float, try_timeout: float) -> calls.JwkSet:
        """Read the keys that access tokens are signed with; times in seconds."""
        raw = await self._client.send(calls.JWKS, None, deadline=deadline, try_timeout=try_timeout)
        return raw.read(calls.JwkSet)
