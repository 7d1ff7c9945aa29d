"""The credentials of a client. Each creates a source of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from notifyx.models import TokenResponse
from notifyx.tokens import FixedToken, MemoryStore, RotatingTokens, TokenSource


class TokenEndpointProtocol(Protocol):
    """The token endpoint of a deployment."""

    @property
    def url(self) -> str:
        """The deployment's base URL."""
        ...

    async def refresh(self, refresh_token: str) -> TokenResponse:
        """Exchange a refresh token. Raises :class:`~notifyx.errors.NotifyxError`."""
        ...

    async def password(self, email: str, password: str) -> TokenResponse:
        """Log in. Raises :class:`~notifyx.errors.NotifyxError`."""
        ...


class Credentials(Protocol):
    """One of the classes below, or your own class."""

    def source(self, endpoint: TokenEndpointProtocol) -> TokenSource:
        """Return the source of tokens for the deployment of ``endpoint``."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, ``nfx_...``."""

    key: str = field(repr=False)

    def source(self, endpoint: TokenEndpointProtocol) -> TokenSource:
        """Return the key as the token."""
        return FixedToken(self.key)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token that the caller renews; once it has expired, calls raise ``NotLoggedIn``."""

    token: str = field(repr=False)

    def source(self, endpoint: TokenEndpointProtocol) -> TokenSource:
        """Return the token."""
        return FixedToken(self.token)


@dataclass(frozen=True, slots=True)
class Password:
    """Email and password: logs in at the first call, and again when the session has ended. Tokens stay in memory."""

    email: str
    password: str = field(repr=False)

    def source(self, endpoint: TokenEndpointProtocol) -> TokenSource:
        """Return a session of this process."""
        return RotatingTokens(
            MemoryStore(), refresh=endpoint.refresh, log_in=lambda: endpoint.password(self.email, self.password)
        )


@dataclass(frozen=True, slots=True)
class TokenFile:
    """The session that ``notifyx login`` stored, shared safely with other processes. ``path`` defaults to its file."""

    path: Path | None = None

    def source(self, endpoint: TokenEndpointProtocol) -> TokenSource:
        """Return the session that is stored for the deployment."""
        # Imported late: file locks exist on Linux and macOS only, the rest of the client runs everywhere.
        from notifyx.token_file import FileStore, default_path  # noqa: PLC0415

        return RotatingTokens(
            FileStore(self.path or default_path(), endpoint.url),
            refresh=endpoint.refresh,
            missing=f"You are not logged in at {endpoint.url}; log in first (notifyx login).",
        )
