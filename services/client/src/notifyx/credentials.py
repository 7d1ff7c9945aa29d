"""What a client may be given to prove who calls, each able to become a source of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from notifyx.shapes import Grant
from notifyx.tokens import FixedToken, MemoryStore, RotatingTokens, TokenSource


class Grants(Protocol):
    """The token endpoint of a deployment."""

    @property
    def url(self) -> str:
        """The deployment's base URL."""
        ...

    async def refresh(self, refresh_token: str) -> Grant:
        """Exchange a refresh token. Raises :class:`~notifyx.errors.NotifyxError`."""
        ...

    async def password(self, email: str, password: str) -> Grant:
        """Log in. Raises :class:`~notifyx.errors.NotifyxError`."""
        ...


class Credentials(Protocol):
    """One of the classes below, or your own."""

    def source(self, grants: Grants) -> TokenSource:
        """Where tokens for the deployment of ``grants`` come from."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, ``nfx_...``."""

    key: str = field(repr=False)

    def source(self, grants: Grants) -> TokenSource:
        """The key itself."""
        return FixedToken(self.key)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token that somebody else renews; when it ends, calls raise ``NotLoggedIn``."""

    token: str = field(repr=False)

    def source(self, grants: Grants) -> TokenSource:
        """The token itself."""
        return FixedToken(self.token)


@dataclass(frozen=True, slots=True)
class Password:
    """Logs in when first needed, and again when the session has ended. Its tokens stay in memory."""

    email: str
    password: str = field(repr=False)

    def source(self, grants: Grants) -> TokenSource:
        """A session of this process."""
        return RotatingTokens(
            MemoryStore(), refresh=grants.refresh, log_in=lambda: grants.password(self.email, self.password)
        )


@dataclass(frozen=True, slots=True)
class TokenFile:
    """What ``notifyx login`` left, shared safely with other processes. ``path`` defaults to where it leaves it."""

    path: Path | None = None

    def source(self, grants: Grants) -> TokenSource:
        """The session kept for the deployment."""
        # Only here: file locks of this kind are there on Linux and macOS, the rest of the client is everywhere.
        from notifyx.token_file import FileStore, default_path  # noqa: PLC0415

        return RotatingTokens(
            FileStore(self.path or default_path(), grants.url),
            refresh=grants.refresh,
            missing=f"You are not logged in at {grants.url}; log in first (notifyx login).",
        )
