"""Proving who calls: a credential becomes a token, and a rotating one is exchanged by one party at a time.

A refresh token may be used once. Whoever comes with a used one ends the session, since it may have been stolen; so two
tasks, or two processes that share a file, must never exchange the same one. :class:`RotatingTokens` takes the store's
lock, looks whether somebody else has done it meanwhile, and only then asks the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from notifyx.errors import InvalidRequest, NotifyxError, NotLoggedIn
from notifyx.shapes import Grant

EARLY_SECONDS = 60.0
EARLY_SHARE = 0.2
"""A token is exchanged this long before its end, or when this share of its life is left, whichever is later."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session, or (without ``refresh_token`` and ``expires_at``) an API key. Times are epoch seconds."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    obtained_at: float = 0.0
    expires_at: float | None = None
    email: str = ""

    def renew_at(self) -> float:
        """When to exchange it."""
        if self.expires_at is None:
            return float("inf")
        return self.expires_at - min(EARLY_SECONDS, EARLY_SHARE * (self.expires_at - self.obtained_at))


class TokenSource(Protocol):
    """What calls are proven with."""

    async def token(self) -> str:
        """A token that is good now. Raises :class:`NotLoggedIn`, or what keeps it from being renewed."""
        ...

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Another token than ``rejected``, which the server did not accept. Raises ``why`` when there is none."""
        ...

    def renew_at(self) -> float:
        """When the current token should be replaced, in epoch seconds."""
        ...


class TokenStore(Protocol):
    """Keeps the tokens of one deployment."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Only one party at a time, in this process and in others that share the store."""
        ...

    def load(self) -> Tokens | None:
        """What is kept. Raises :class:`~notifyx.errors.TokenFileError`."""
        ...

    def save(self, tokens: Tokens | None) -> None:
        """Keep ``tokens``, or nothing. Call with the lock held. Raises :class:`~notifyx.errors.TokenFileError`."""
        ...


class MemoryStore:
    """Tokens of this process alone."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Only one task at a time."""
        async with self._lock:
            yield

    def load(self) -> Tokens | None:
        """What is kept."""
        return self._tokens

    def save(self, tokens: Tokens | None) -> None:
        """Keep ``tokens``."""
        self._tokens = tokens


class FixedToken:
    """An access token or API key that somebody else looks after."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        """Always the same."""
        return self._token

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Raises ``why``: there is no other."""
        raise why

    def renew_at(self) -> float:
        """Never."""
        return float("inf")


class NoToken:
    """There are no credentials."""

    async def token(self) -> str:
        """Raises :class:`NotLoggedIn`."""
        raise NotLoggedIn("This needs credentials; log in first, or give the client some.", code="not_logged_in")

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Raises ``why``."""
        raise why

    def renew_at(self) -> float:
        """Never."""
        return float("inf")


Refresh = Callable[[str], Awaitable[Grant]]
LogIn = Callable[[], Awaitable[Grant]]


class RotatingTokens:
    """The tokens in ``store``, exchanged with ``refresh``; ``log_in`` begins a session where there is none."""

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
        self._known: Tokens | None = None

    async def token(self) -> str:
        """A token that is good for a while yet."""
        known = self._known = self._known or self._store.load()
        if known is not None and self._now() < known.renew_at():
            return known.access_token
        return await self._replace(known, rejected=False)

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        """Another token than ``rejected``; the session may have been renewed elsewhere already."""
        known = self._known = self._store.load()
        if known is not None and known.expires_at is None and known.access_token == rejected:
            raise why
        if known is not None and known.access_token != rejected and self._now() < known.renew_at():
            return known.access_token
        return await self._replace(known, rejected=True)

    def renew_at(self) -> float:
        """When the known token should be replaced."""
        return self._known.renew_at() if self._known is not None else 0.0

    async def _replace(self, stale: Tokens | None, *, rejected: bool) -> str:
        async with self._store.lock():
            current = self._store.load()
            other = current is not None and (stale is None or current.access_token != stale.access_token)
            if current is not None and other and self._now() < current.renew_at():
                self._known = current
                return current.access_token
            try:
                grant = await self._new(current)
            except NotifyxError as error:
                if isinstance(error, NotLoggedIn):
                    self._known = None
                    self._store.save(None)
                # The old one lasts a while yet, and the server may be back by then.
                elif error.retryable and not rejected and _lasts(current, self._now()):
                    assert current is not None
                    return current.access_token
                raise
            self._known = kept(grant, self._now(), email=current.email if current is not None else "")
            self._store.save(self._known)
            return self._known.access_token

    async def _new(self, current: Tokens | None) -> Grant:
        if current is not None and current.refresh_token is not None:
            try:
                return await self._refresh(current.refresh_token)
            except InvalidRequest as error:
                if error.code != "invalid_grant":
                    raise
                if self._log_in is None:
                    raise NotLoggedIn("The session has ended; log in again.", code="session_ended") from error
        if self._log_in is None:
            raise NotLoggedIn(self._missing, code="not_logged_in")
        try:
            return await self._log_in()
        except InvalidRequest as error:
            if error.code != "invalid_grant":
                raise
            raise NotLoggedIn(error.reason, code=error.code) from error


def kept(grant: Grant, now: float, *, email: str = "") -> Tokens:
    """A grant as it is kept."""
    return Tokens(
        access_token=grant.access_token,
        refresh_token=grant.refresh_token,
        obtained_at=now,
        expires_at=now + grant.expires_in,
        email=email,
    )


def _lasts(tokens: Tokens | None, now: float) -> bool:
    return tokens is not None and tokens.expires_at is not None and now < tokens.expires_at
