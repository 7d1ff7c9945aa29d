"""One method for each call of the contract: check, throttle, execute, count. Other modules do the work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from tortoise.transactions import in_transaction

from notifyx_auth.accounts import verification
from notifyx_auth.accounts.accounts import Accounts
from notifyx_auth.base import credential_changes
from notifyx_auth.base.credential_changes import ChangeLog
from notifyx_auth.base.errors import (
    HashingBusy,
    InvalidApiKey,
    InvalidClient,
    InvalidGrant,
    InvalidHook,
    InvalidScope,
    InvalidTicket,
    SignUpOff,
    TooManyAttempts,
    UnsupportedGrantType,
)
from notifyx_auth.base.models import User
from notifyx_auth.base.secret_formats import KeyParts, email_key, is_device_token, parse_api_key
from notifyx_auth.base.settings import AuthSettings
from notifyx_auth.credentials import api_keys, stream_tickets
from notifyx_auth.credentials.hooks import Hooks
from notifyx_auth.sessions import devices, sessions, throttle
from notifyx_auth.sessions.new_sessions import NewSessions
from notifyx_auth.sessions.refresh_tokens import RefreshTokens
from notifyx_auth.signing.keyring import Keyring
from notifyx_auth.users import users
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import (
    CredentialChanges,
    CredentialChangesAfter,
    EmailClaim,
    EmailToken,
    ResolvedUsers,
    ResolveUsers,
    RevokeRequest,
    SignInCall,
    SignUpCall,
    TimeZone,
    TokenCall,
    TokenRequest,
    TokenResponse,
    VerifyKey,
    VerifyRequest,
)
from notifyx_common.contracts.auth import User as UserView
from notifyx_common.contracts.hooks import OpenedHook, OpenHook
from notifyx_common.contracts.stream_tickets import UsedStreamTicket, UseStreamTicket
from notifyx_common.database import CONNECTION, Database
from notifyx_common.errors import InvalidRequest
from notifyx_common.limiting.buckets import Bucket
from notifyx_common.limiting.turns import SharedTurns
from notifyx_common.metrics import Metrics
from notifyx_common.principal import ALL_SCOPES, Principal, Scope
from notifyx_common.security_log import SecurityLog
from notifyx_common.tokens import sign_access_token

CONCURRENT_DEVICES = 4
"""Devices that are looked up at once: a part of the database's connections."""


@dataclass(frozen=True, slots=True)
class Auth:
    """The calls that auth answers. Every method raises :class:`Unavailable` while the database is away."""

    settings: AuthSettings
    database: Database
    passwords: Passwords
    keyring: Keyring
    refresh_tokens: RefreshTokens
    changes: ChangeLog
    hooks: Hooks
    accounts: Accounts
    new_sessions: NewSessions
    clock: Clock
    metrics: Metrics
    security: SecurityLog
    device_turns: SharedTurns = field(default_factory=lambda: SharedTurns(CONCURRENT_DEVICES))

    async def sign_up(self, call: SignUpCall) -> UserView:
        """Create a user. Raises :class:`SignUpOff`, :class:`EmailTaken`."""
        if not self.settings.sign_up:
            raise SignUpOff("Signing up is switched off here; ask an administrator for an account.")
        wanted, now = call.body, self.clock.now()
        password = wanted.password.get_secret_value()
        async with self.database.guard():
            user = await users.create(
                wanted.email, password, wanted.name, call.address, passwords=self.passwords, now=now
            )
        return users.to_response(user)

    async def token(self, call: TokenCall) -> TokenResponse:
        """Answer a grant (RFC 6749). Raises errors with that document's codes, :class:`TooManyAttempts`."""
        wanted, origin = call.body, sessions.Origin(call.address, call.user_agent)
        async with self.database.guard():
            match wanted.grant_type:
                case "password":
                    return await self._by_password(wanted, origin, uuid4())
                case "refresh_token":
                    return await self._by_refresh_token(wanted, origin)
                case "client_credentials":
                    return await self._by_api_key(wanted)
        raise UnsupportedGrantType("Use password, refresh_token or client_credentials as grant_type.")

    async def sign_in(self, call: SignInCall) -> TokenResponse:
        """Answer the grant ``password``, with a session of the id that the caller gave it; as :meth:`token`."""
        if call.body.grant_type != "password":
            raise UnsupportedGrantType("Only grant_type password begins a session.")
        async with self.database.guard():
            return await self._by_password(
                call.body, sessions.Origin(call.address, call.user_agent), UUID(call.session_id)
            )

    async def revoke(self, wanted: RevokeRequest) -> None:
        """End a session, or all of its user."""
        async with self.database.guard():
            token = wanted.token.get_secret_value()
            user = await sessions.revoke(
                token, self.refresh_tokens, self.changes, self.clock.now(), everywhere=wanted.everywhere
            )
        if user is not None:
            self.security.record("sign_out", "succeeded", actor=user, reason="everywhere" if wanted.everywhere else "")

    async def me(self, principal: Principal) -> UserView:
        """Return the caller. Raises :class:`NotFound` for a principal that is not a user."""
        async with self.database.guard():
            return users.to_response(await users.by_id(principal.id))

    async def set_time_zone(self, principal: Principal, wanted: TimeZone) -> UserView:
        """Store the caller's time zone. Raises :class:`InvalidRequest` for an unknown one."""
        now = self.clock.now()
        async with self.database.guard():
            return users.to_response(await users.set_time_zone(principal.id, wanted.time_zone, self.changes, now))

    async def request_verification(self, principal: Principal) -> EmailToken:
        """Return a verification token to be mailed to the caller."""
        async with self.database.guard():
            lifetime = timedelta(hours=self.settings.verification_hours)
            return await verification.request(principal, lifetime, self.clock.now())

    async def claim(self, wanted: EmailClaim) -> EmailToken:
        """Return a verification token to be mailed to an address that somebody wants to sign up with again."""
        async with self.database.guard():
            lifetime = timedelta(hours=self.settings.verification_hours)
            return await verification.claim(wanted.email, lifetime, self.clock.now())

    async def verify(self, wanted: VerifyRequest) -> UserView:
        """Use a verification token. Raises :class:`InvalidLink`, :class:`WrongPassword`, :class:`WeakPassword`."""
        password, new_password = (
            None if secret is None else secret.get_secret_value() for secret in (wanted.password, wanted.new_password)
        )
        async with self.database.guard():
            user = await verification.verify(
                wanted.token.get_secret_value(),
                password,
                new_password,
                passwords=self.passwords,
                mails=self.accounts.mails,
                changes=self.changes,
                now=self.clock.now(),
            )
        return users.to_response(user)

    async def verify_api_key(self, wanted: VerifyKey) -> Principal:
        """Return the principal that an API key proves. Raises :class:`InvalidApiKey`."""
        async with self.database.guard():
            row = await api_keys.verify(parse_api_key(wanted.key.get_secret_value()), self.clock.now())
        if row is None:
            self._failed("api_key")
            raise InvalidApiKey("The API key is not valid (any more).")
        return api_keys.principal_of(row)

    async def credential_changes(self, wanted: CredentialChangesAfter) -> CredentialChanges:
        """Return what has changed of credentials, and where it is wanted of accounts."""
        now = self.clock.now()
        async with self.database.guard():
            return await credential_changes.after(self.database.pool, wanted.after, now, accounts=wanted.accounts)

    async def open_hook(self, wanted: OpenHook) -> OpenedHook:
        """Return what a webhook may do. Raises :class:`InvalidHook`."""
        try:
            async with self.database.guard():
                return await self.hooks.open(wanted, self.clock.now())
        except InvalidHook:
            self._failed("webhook")
            raise

    async def use_stream_ticket(self, wanted: UseStreamTicket) -> UsedStreamTicket:
        """Return what a ticket opens, and end it. Raises :class:`InvalidTicket`."""
        try:
            async with self.database.guard():
                return await stream_tickets.use(wanted, self.clock.now())
        except InvalidTicket:
            self._failed("ticket")
            raise

    async def resolve(self, wanted: ResolveUsers) -> ResolvedUsers:
        """Return the users of ids and emails."""
        async with self.database.guard():
            return ResolvedUsers(users=await users.resolve(wanted.users))

    async def _by_password(self, wanted: TokenRequest, origin: sessions.Origin, session: UUID) -> TokenResponse:
        if wanted.username is None or wanted.password is None:
            raise InvalidRequest("The password grant needs username and password.")
        scopes = _scopes(wanted.scope, ALL_SCOPES)
        now, pool = self.clock.now(), self.database.pool
        password = wanted.password.get_secret_value()
        device = None if wanted.device_token is None else wanted.device_token.get_secret_value()
        owner = await self._owner_of_device(wanted.username, device, origin.address, now)
        known = device if owner is not None else None
        limits = self._limits(email_key(wanted.username) or wanted.username, origin.address, known)
        turn = Turn(origin.address) if owner is None else Turn(owner, known=True)
        async with self.passwords.turn(turn) as thread:
            user = await users.by_email(wanted.username)
            try:
                await throttle.count_attempt(pool, limits, now)
            except TooManyAttempts as error:
                self._failed("throttled")
                self._limited(error.quota.name if error.quota is not None else "sign-ins", "refused")
                raise
            self._limited(limits[0].name, "allowed")
            try:
                right = await self.passwords.verify(None if user is None else user.password_hash, password, thread)
            except HashingBusy:
                await throttle.refund(pool, limits)
                raise
        if user is None or not right:
            self._failed("password")
            raise InvalidGrant("The email or the password is wrong.")
        await throttle.refund(pool, limits)
        if self.passwords.needs_rehash(user.password_hash):
            new_hash = await self.passwords.hash(password, turn)
            if await User.filter(id=user.id, password_hash=user.password_hash).update(password_hash=new_hash):
                user.password_hash = new_hash
        scope = " ".join(sorted(scopes))
        expires_at = now + timedelta(days=self.settings.device_days)
        async with in_transaction(CONNECTION) as transaction:
            # No row was locked while the password was verified: what another password ended must not begin after it.
            current = await User.filter(id=user.id).select_for_update(no_key=True).first()
            started = None
            if current is not None and current.password_hash == user.password_hash:
                started = await sessions.start(
                    session, current, scope, self.refresh_tokens, self._session_policy, origin, now
                )
                device_token = await devices.record(transaction, current, device, now, expires_at)
        if current is None or started is None:
            # Another password was set, another sign-in has hashed this one anew, or the account was deleted.
            return await self._by_password(wanted, origin, session)
        self.new_sessions.add(current.id)
        principal = users.principal_of(current, scopes, str(started.session))
        return self._issue("password", principal, now, refresh_token=started.text, device_token=device_token)

    async def _owner_of_device(self, email: str, device: str | None, address: str, now: datetime) -> str | None:
        """Return the id of the user with ``email`` if ``device`` is a device of theirs.

        Anyone can send what looks like one: few are looked up at once, in turn between addresses.
        """
        if device is None or not is_device_token(device):
            return None
        try:
            async with asyncio.timeout(self.settings.hash_timeout), self.device_turns.turn(address):
                return await devices.owner(email, device, now)
        except TimeoutError:
            self._failed("busy")
            raise HashingBusy("Too many sign-ins wait already. Try again in a moment.", retry_after=1.0) from None

    def _limits(self, account: str, address: str, device: str | None) -> list[throttle.Limit]:
        """Return what limits an attempt on ``account``; ``device`` is the token of a known one."""
        settings = self.settings
        bucket = Bucket(settings.login_burst, settings.login_interval)
        if device is not None:
            return [throttle.Limit.of("sign-ins-by-device", bucket, account, device)]
        whole = Bucket(settings.login_account_burst, settings.login_account_interval)
        return [
            throttle.Limit.of("sign-ins-by-address", bucket, account, address),
            throttle.Limit.of("sign-ins-by-account", whole, account),
        ]

    async def _by_refresh_token(self, wanted: TokenRequest, origin: sessions.Origin) -> TokenResponse:
        if wanted.refresh_token is None:
            raise InvalidRequest("The refresh_token grant needs refresh_token.")
        _scopes(wanted.scope, ALL_SCOPES)  # rejected before the token is used
        now = self.clock.now()
        token = wanted.refresh_token.get_secret_value()
        try:
            refreshed = await sessions.refresh(
                token, self.refresh_tokens, self._session_policy, self.changes, origin, now
            )
        except InvalidGrant:
            self._failed("refresh_token")
            raise
        if refreshed.repeated:
            self.metrics.counter("notifyx_refreshes_repeated_total").inc()
        granted = _scopes(refreshed.scope, ALL_SCOPES)
        # RFC 6749 6: a narrower scope is for this access token; the session keeps what it was granted.
        scopes = granted if wanted.scope is None else _scopes(wanted.scope, ALL_SCOPES) & granted
        principal = users.principal_of(refreshed.user, scopes, refreshed.session)
        return self._issue("refresh_token", principal, now, refresh_token=refreshed.token)

    async def _by_api_key(self, wanted: TokenRequest) -> TokenResponse:
        if wanted.client_id is None or wanted.client_secret is None:
            raise InvalidRequest("The client_credentials grant needs client_id and client_secret of an API key.")
        now = self.clock.now()
        parts = KeyParts(id=wanted.client_id.removeprefix("nfx_"), secret=wanted.client_secret.get_secret_value())
        row = await api_keys.verify(parse_api_key(parts.text), now)
        if row is None:
            self._failed("client")
            raise InvalidClient("The API key is not valid (any more).")
        principal = api_keys.principal_of(row)
        scopes = _scopes(wanted.scope, principal.scopes)
        principal = principal.model_copy(update={"scopes": scopes})
        return self._issue("client_credentials", principal, now, not_after=row.expires_at)

    def _issue(
        self,
        grant: str,
        principal: Principal,
        now: datetime,
        *,
        refresh_token: str | None = None,
        device_token: str | None = None,
        not_after: datetime | None = None,
    ) -> TokenResponse:
        lifetime = timedelta(seconds=self.settings.access_token_seconds)
        if not_after is not None:
            lifetime = min(lifetime, not_after - now)
        key = self.keyring.signing_key()
        signed = sign_access_token(principal, key, jti=str(uuid4()), issued_at=now, lifetime=lifetime)
        self.metrics.counter("notifyx_tokens_issued_total").labels(grant).inc()
        return TokenResponse(
            access_token=signed.token,
            expires_in=int(lifetime.total_seconds()),
            refresh_token=refresh_token,
            scope=" ".join(sorted(principal.scopes)),
            device_token=device_token,
        )

    @property
    def _session_policy(self) -> sessions.SessionPolicy:
        return sessions.SessionPolicy(
            idle=timedelta(days=self.settings.refresh_token_days),
            total=timedelta(days=self.settings.session_days),
            grace=timedelta(hours=self.settings.refresh_grace_hours),
        )

    def _limited(self, limit: str, result: str) -> None:
        self.metrics.counter("notifyx_rate_limit_checks_total").labels(limit, "database", result).inc()

    def _failed(self, reason: str) -> None:
        self.metrics.counter("notifyx_auth_failures_total").labels(reason).inc()


def _scopes(requested: str | None, available: frozenset[Scope]) -> frozenset[Scope]:
    """Return the requested scopes, by default all available ones. Raises :class:`InvalidScope`."""
    if requested is None:
        return available
    words = set(requested.split())
    chosen = frozenset(scope for scope in available if scope in words)
    if not words or len(chosen) != len(words):
        raise InvalidScope(f"The scope can be made of: {' '.join(sorted(available))}.")
    return chosen
