"""Sources of tokens. A refresh token is exchanged by one task of one process at a time.

A refresh token may be exchanged again while its successor is unused, because an answer may be lost. Using it later ends
the session, since it may have been stolen; so two tasks, or two processes that share a file, must not go on with two
successors. :class:`RotatingTokens` acquires the store's lock, checks whether the token was exchanged meanwhile, and
only then sends the request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from notifyx.errors import InvalidRequest, NotifyxError, NotLoggedIn
from notifyx.models import TokenResponse

EARLY_SECONDS = 60.0
EARLY_SHARE = 0.2
"""A token is exchanged this long before it expires, or when this share of its lifetime is left, whichever is later."""

NO_CREDENTIALS = "not_logged_in"
"""The code of :class:`NotLoggedIn` where there is nothing that a server could refuse."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session, or (without ``refresh_token`` and ``expires_at``) an API key. Times are epoch seconds."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    obtained_at: float = 0.0
    expires_at: float | None = None
    email: str = ""

    def renew_at(self) -> float:
        """Return when to exchange the token, in epoch seconds."""
        if self.expires_at is None:
            return float("inf")
        return self.expires_at - min(EARLY_SECONDS, EARLY_SHARE * (self.expires_at - self.obtained_at))


class TokenSource(Protocol):
    """Provides the token that authenticates calls."""

    async def token(self) -> str:
        """Return a valid token. Raises :class:`NotLoggedIn`, or the error of a renewal."""
        ...

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Return a token other than ``rejected``, the one that the server refused. Raises ``why`` if there is none."""
        ...

    def renew_at(self) -> float:
        """Return when the current token should be replaced, in epoch seconds."""
        ...


class TokenStore(Protocol):
    """Stores the tokens of one deployment."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Lock the store, against all tasks and processes that share it."""
        ...

    def load(self) -> Tokens | None:
        """Return the stored tokens, if any. Raises :class:`~notifyx.errors.TokenFileError`."""
        ...

    def save(self, tokens: Tokens | None) -> None:
        """Store ``tokens``; ``None`` removes them. Needs the lock. Raises :class:`~notifyx.errors.TokenFileError`."""
        ...


class MemoryStore:
    """Tokens of this process alone."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Lock the store, against all tasks."""
        async with self._lock:
            yield

    def load(self) -> Tokens | None:
        """Return the stored tokens, if any."""
        return self._tokens

    def save(self, tokens: Tokens | None) -> None:
        """Store ``tokens``."""
        self._tokens = tokens


class FixedToken:
    """An access token or API key that this client does not renew."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        """Return the token."""
        return self._token

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Raise ``why``: there is no other token."""
        raise why

    def renew_at(self) -> float:
        """Return infinity: never."""
        return float("inf")


class NoToken:
    """The source of a client without credentials."""

    async def token(self) -> str:
        """Raise :class:`NotLoggedIn`."""
        raise NotLoggedIn("This needs credentials; log in first, or give the client some.", code=NO_CREDENTIALS)

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Raise ``why``."""
        raise why

    def renew_at(self) -> float:
        """Return infinity: never."""
        return float("inf")


Refresh = Callable[[str], Awaitable[TokenResponse]]
LogIn = Callable[[], Awaitable[TokenResponse]]


class RotatingTokens:
    """The tokens in ``store``, exchanged with ``refresh``. Without a session, ``log_in`` begins one."""

    def __init__(
        self,
        store: TokenStore,
        *,
        refresh: Refresh,
        log_in: LogIn | None = None,
        missing: str = "You are not logged in.",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._refresh = refresh
        self._log_in = log_in
        self._missing = missing
        self._now = now
        self._current: Tokens | None = None

    async def token(self) -> str:
        """Return a token that is valid for a while."""
        current = self._current = self._current or self._store.load()
        if current is not None and self._now() < current.renew_at():
            return current.access_token
        return await self._replace(current, rejected=False)

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Return a token other than ``rejected``; another process may have renewed the session already."""
        current = self._current = self._store.load()
        if current is not None and current.expires_at is None and current.access_token == rejected:
            raise why
        if current is not None and current.access_token != rejected and self._now() < current.renew_at():
            return current.access_token
        return await self._replace(current, rejected=True)

    def renew_at(self) -> float:
        """Return when the current token should be replaced."""
        return self._current.renew_at() if self._current is not None else 0.0

    async def _replace(self, stale: Tokens | None, *, rejected: bool) -> str:
        async with self._store.lock():
            current = self._store.load()
            other = current is not None and (stale is None or current.access_token != stale.access_token)
            if current is not None and other and self._now() < current.renew_at():
                self._current = current
                return current.access_token
            try:
                grant = await self._obtain(current)
            except NotifyxError as error:
                if isinstance(error, NotLoggedIn):
                    self._current = None
                    self._store.save(None)
                # The old token is still valid, and the server may recover before it expires.
                elif error.retryable and not rejected and _is_valid(current, self._now()):
                    assert current is not None
                    return current.access_token
                raise
            self._current = to_tokens(grant, self._now(), email=current.email if current is not None else "")
            self._store.save(self._current)
            return self._current.access_token

    async def _obtain(self, current: Tokens | None) -> TokenResponse:
        if current is not None and current.refresh_token is not None:
            try:
                return await self._refresh(current.refresh_token)
            except InvalidRequest as error:
                if error.code != "invalid_grant":
                    raise
                if self._log_in is None:
                    raise NotLoggedIn("The session has ended; log in again.", code="session_ended") from error
        if self._log_in is None:
            raise NotLoggedIn(self._missing, code=NO_CREDENTIALS)
        try:
            return await self._log_in()
        except InvalidRequest as error:
            if error.code != "invalid_grant":
                raise
            raise NotLoggedIn(error.reason, code=error.code) from error


def to_tokens(grant: TokenResponse, now: float, *, email: str = "") -> Tokens:
    """Convert an answer of the token endpoint to tokens. ``now``: epoch seconds."""
    return Tokens(
        access_token=grant.access_token,
        refresh_token=grant.refresh_token,
        obtained_at=now,
        expires_at=now + grant.expires_in,
        email=email,
    )


def _is_valid(tokens: Tokens | None, now: float) -> bool:
    return tokens is not None and tokens.expires_at is not None and now < tokens.expires_at
