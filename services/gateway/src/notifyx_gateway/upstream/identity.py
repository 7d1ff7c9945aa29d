"""Verifies credentials: access tokens with auth's published keys, API keys at auth, and tokens of ServiceAccounts at
the API server.

The last known signing keys stay in use while auth is unavailable: nobody can sign in then, but those who are signed in
stay so. A token with an unknown signing key causes a refresh of the keys, at most once every few seconds. A request
that comes before the first read of a gateway that has just started waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, cast

from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from notifyx_common.background import Background, every
from notifyx_common.backoff import Backoff
from notifyx_common.caching.cache import Cache, MemoryTier
from notifyx_common.caching.memcached import Memcached
from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError, Unauthenticated, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.tokens import InvalidToken, UnknownKey, VerifiedToken, verify_access_token
from notifyx_gateway.errors import InvalidApiKey
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_state import Affects, CredentialState
from notifyx_gateway.upstream.service_accounts import ServiceAccounts, is_service_account_token

log = get_logger(__name__)

API_KEY_PREFIX = "nfx_"
API_KEY = re.compile(r"nfx_[A-Za-z0-9]{1,64}_[A-Za-z0-9_-]{1,256}\Z")

CREDENTIAL_TTL = 30.0
REJECTED_TTL = 5.0
"""How long the result of a remote verification is cached, in seconds: a valid credential, a rejected one."""

PROOF_TTL = timedelta(minutes=1)
"""How long a holder, such as a socket, may trust a remotely verified credential without another check."""

TOKEN_CACHE_SIZE = 10_000
"""Maximum number of verified access tokens in memory."""

FORCED_REFRESH_INTERVAL = 5.0
"""Minimum time between two refreshes caused by unknown keys, in seconds."""

FIRST_READ_TIMEOUT = 2.0
"""Seconds that a credential waits for the first read after a start: users are told of an outage within three."""

RETRIES = Backoff(0.1, 5.0, jitter=(0.8, 1.0))
"""Pauses after failed refreshes of the signing keys."""


class Authenticator:
    """Verifies credentials; an async context manager that refreshes auth's signing keys in the background."""

    def __init__(
        self,
        auth: Auth,
        *,
        state: CredentialState,
        clock: Clock,
        metrics: Metrics,
        background: Background,
        shared: Memcached | None = None,
        refresh_seconds: float = 60.0,
        service_accounts: ServiceAccounts | None = None,
    ) -> None:
        """``state`` knows which credentials have ended. ``service_accounts`` is ``None`` outside a cluster: then their
        tokens are rejected.
        """
        self._auth = auth
        self._state = state
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._jwks: dict[str, Any] = {"keys": []}
        self._keys: KeySet | None = None
        self._first_read = asyncio.Event()
        self._refresh_requested = asyncio.Event()
        self._refreshing: asyncio.Task[None] | None = None
        self._forced_refresh_at = -FORCED_REFRESH_INTERVAL
        self._tasks = background.tasks()
        self._verified: MemoryTier[VerifiedToken] = MemoryTier(TOKEN_CACHE_SIZE)
        self._service_accounts = service_accounts

        def proofs(name: str) -> Cache[Principal | None]:
            return Cache(
                name,
                encode=lambda found: None if found is None else found.model_dump(mode="json"),
                decode=lambda data: None if data is None else Principal.model_validate(data),
                clock=clock,
                metrics=metrics,
                background=background,
                shared=shared,
            )

        self._api_keys, self._reviewed = proofs("api_keys"), proofs("service_accounts")

    async def __aenter__(self) -> Self:
        keys = every(
            self._refresh_seconds,
            self._refresh_keys,
            away=(NotifyxError,),
            backoff=RETRIES,
            jitter=(0.8, 1.0),
            wake=self._refresh_requested,
        )
        self._tasks.endless("signing keys", keys)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    @property
    def jwks(self) -> dict[str, Any]:
        """The key set (RFC 7517) that auth published last. Raises :class:`Unavailable` before the first read."""
        if self._keys is None:
            raise Unavailable("The signing keys have not been read yet.")
        return self._jwks

    def verify(self, token: str) -> VerifiedToken:
        """Verify an access token without I/O. Raises :class:`Unauthenticated` or :class:`Unavailable`.

        An unknown signing key causes a refresh in the background: the same token may be accepted a second later.
        """
        try:
            return self._verify(token)
        except UnknownKey:
            if self._may_refresh_now():
                self._refresh_requested.set()
            raise

    def needs_remote_check(self, token: str) -> bool:
        """Return whether ``token`` can only be verified remotely, by :meth:`authenticate`."""
        return token.startswith(API_KEY_PREFIX) or (
            self._service_accounts is not None and is_service_account_token(token)
        )

    async def authenticate(self, token: str, address: str | None = None) -> VerifiedToken:
        """Verify an access token, an API key or a ServiceAccount's token, shown by the client at ``address``.

        Before the first read it waits for that, up to :data:`FIRST_READ_TIMEOUT` seconds.

        Raises :class:`Unauthenticated`, or :class:`Unavailable` if the service that verifies it is.
        """
        if self._service_accounts is not None and is_service_account_token(token):
            return await self._by_service_account(self._service_accounts, token, address)
        await self._await_first_read()
        if token.startswith(API_KEY_PREFIX):
            return await self._by_api_key(token)
        try:
            return self._verify(token)
        except UnknownKey:
            if not self._may_refresh_now():
                raise
            await self._refresh_keys_now()
            return self._verify(token)

    def current(self, principal: Principal) -> Principal:
        """Return what a verified credential proves now.

        Raises :class:`CredentialEnded`, :class:`InvalidApiKey`.
        """
        return self._state.current(principal)

    def evict(self, affects: Affects) -> None:
        """Evict access tokens that a credential change affects; they are verified anew."""
        for digest in self._verified.matching_keys(lambda found: affects(found.principal)):
            self._verified.delete(digest)

    def state_was_read(self) -> None:
        """Let those go on who waited for the first read, if the signing keys have been read too."""
        if self._keys is not None and self._state.known:
            self._first_read.set()

    async def _await_first_read(self) -> None:
        if not self._first_read.is_set():
            with contextlib.suppress(TimeoutError):  # what is not known is then said by what needs it
                async with asyncio.timeout(FIRST_READ_TIMEOUT):
                    await self._first_read.wait()

    def _verify(self, token: str) -> VerifiedToken:
        now = self._clock.now()
        digest = _digest(token)
        if (known := self._verified.get(digest, now.timestamp())) is not None:
            return known[0]
        if self._keys is None:
            raise Unavailable("The signing keys have not been read yet.")
        self._require_state()
        verified = verify_access_token(token, self._keys, now)
        verified = replace(verified, principal=self._state.current(verified.principal))
        # One object per token: items that are batched for one caller then share one principal.
        self._verified.set(digest, verified, verified.expires_at.timestamp())
        return verified

    async def _by_api_key(self, key: str) -> VerifiedToken:
        if API_KEY.match(key) is None:
            raise InvalidApiKey("The API key is malformed.")

        async def fetch() -> Principal | None:
            try:
                return await self._auth.verify_api_key(key)
            except Unauthenticated:
                return None

        principal = await self._api_keys.get_or_load(_digest(key), fetch, _cache_ttl)
        if principal is None:
            raise InvalidApiKey("The API key is not valid (any more).")
        self._require_state()
        # What is cached, here or in memcached, may be from before.
        principal = self._state.current(principal)
        return VerifiedToken(principal=principal, expires_at=self._clock.now() + PROOF_TTL)

    async def _by_service_account(
        self, service_accounts: ServiceAccounts, token: str, address: str | None
    ) -> VerifiedToken:
        async def review() -> Principal | None:
            try:
                return await service_accounts.authenticate(token, address)
            except InvalidToken:
                return None

        principal = await self._reviewed.get_or_load(_digest(token), review, _cache_ttl)
        if principal is None:
            raise InvalidToken(service_accounts.rejection)
        return VerifiedToken(principal=principal, expires_at=self._clock.now() + PROOF_TTL)

    def _require_state(self) -> None:
        if not self._state.known:
            raise Unavailable("It has not been read yet which credentials have ended.")

    def _may_refresh_now(self) -> bool:
        now = self._clock.monotonic()
        if self._refreshing is not None and not self._refreshing.done():
            return True  # it joins the refresh in progress
        if now - self._forced_refresh_at < FORCED_REFRESH_INTERVAL:
            return False
        self._forced_refresh_at = now
        return True

    async def _refresh_keys_now(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._tasks.spawn("signing keys, now", self._try_refresh_keys())
        await asyncio.shield(self._refreshing)

    async def _try_refresh_keys(self) -> None:
        try:
            await self._refresh_keys()
        except NotifyxError as error:
            log.warning("signing_keys_refresh_failed", reason=error.technical)

    async def _refresh_keys(self) -> None:
        found = (await self._auth.signing_keys(deadline=5.0, try_timeout=2.0)).model_dump()
        try:
            keys = KeySet.import_key_set(cast(KeySetSerialization, found))
        except (JoseError, ValueError, TypeError, KeyError):
            raise Unavailable("Auth's key set is not understood.") from None
        if not keys.keys:
            raise Unavailable("Auth's key set is empty.")
        if found != self._jwks:
            log.info("signing_keys_refreshed", count=len(keys.keys))
            self._verified = MemoryTier(TOKEN_CACHE_SIZE)  # tokens of removed keys are not valid any more
        self._keys, self._jwks = keys, found
        self.state_was_read()


def bearer_token(header: str | None) -> str:
    """Return the token of an ``Authorization`` header. Raises :class:`Unauthenticated` if it is not a ``Bearer``."""
    if header is None:
        raise Unauthenticated("This call needs an access token or an API key: 'Authorization: Bearer ...'.")
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token or not token.isascii():
        raise Unauthenticated("The Authorization header is not 'Bearer' and a token.")
    return token


def _digest(credential: str) -> str:
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()


def _cache_ttl(found: Principal | None) -> float:
    return REJECTED_TTL if found is None else CREDENTIAL_TTL
