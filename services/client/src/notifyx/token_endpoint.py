"""The token endpoint (RFC 6749): log in, exchange, revoke. Nothing here is kept anywhere."""

from __future__ import annotations

from notifyx.shapes import Grant
from notifyx.transport import Transport, shaped

TOKEN = "/api/v1/token"  # noqa: S105 - a path, not a secret


class TokenEndpoint:
    """Of the deployment that ``transport`` calls. Everything raises :class:`~notifyx.errors.NotifyxError`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def url(self) -> str:
        """The deployment's base URL."""
        return self._transport.url

    async def password(self, email: str, password: str) -> Grant:
        """Begin a session. ``InvalidRequest`` with the code ``invalid_grant``: the password, or the user, is wrong."""
        return await self._grant({"grant_type": "password", "username": email, "password": password})

    async def refresh(self, refresh_token: str) -> Grant:
        """Exchange ``refresh_token``, which cannot be used again: the answer holds its successor."""
        return await self._grant({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def revoke(self, refresh_token: str) -> None:
        """End the session; fine when it has ended already."""
        await self._transport.call("POST", f"{TOKEN}/revoke", data={"token": refresh_token}, repeatable=True)

    async def _grant(self, form: dict[str, str]) -> Grant:
        return shaped(Grant, await self._transport.call("POST", TOKEN, data=form))
