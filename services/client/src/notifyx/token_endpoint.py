"""The token endpoint (RFC 6749): log in, exchange, revoke. It stores nothing."""

from __future__ import annotations

from notifyx.models import TokenResponse
from notifyx.transport import Transport, parse_answer

TOKEN = "/api/v1/token"  # noqa: S105 - a path, not a secret


class TokenEndpoint:
    """Token endpoint of the deployment of ``transport``. All calls raise :class:`~notifyx.errors.NotifyxError`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def url(self) -> str:
        """The deployment's base URL."""
        return self._transport.url

    async def password(self, email: str, password: str, *, device_token: str = "") -> TokenResponse:
        """Begin a session; ``device_token`` is the one that an earlier login here answered.

        Raises ``InvalidRequest`` with the code ``invalid_grant`` for a wrong email or password.
        """
        form = {"grant_type": "password", "username": email, "password": password, "device_token": device_token}
        return await self._grant(form)

    async def refresh(self, refresh_token: str) -> TokenResponse:
        """Exchange ``refresh_token``; the answer contains its successor. Repeated while the answer is lost."""
        return await self._grant({"grant_type": "refresh_token", "refresh_token": refresh_token}, repeatable=True)

    async def revoke(self, refresh_token: str) -> None:
        """End the session. It may have ended already."""
        await self._transport.call("POST", f"{TOKEN}/revoke", data={"token": refresh_token}, repeatable=True)

    async def _grant(self, form: dict[str, str], *, repeatable: bool = False) -> TokenResponse:
        answer = await self._transport.call("POST", TOKEN, data=form, repeatable=repeatable)
        return parse_answer(TokenResponse, answer)
