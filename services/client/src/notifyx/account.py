"""The caller's own account: name, address, password, API keys, sessions, the export of all data, and deletion."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from urllib.parse import quote

from notifyx.errors import AnswerLost, NotifyxError
from notifyx.models import ApiKeys, CreatedKey, EmailChange, EndedSessions, KeyInfo, Scope, SessionInfo, Sessions, User
from notifyx.transport import parse_answer

_COMPLETE = b'"complete":true}'
"""The end of an export that was not cut off."""


class Send(Protocol):
    """Sends one call of the API, and returns its answer."""

    async def __call__(self, method: str, path: str, *, repeatable: bool | None = None, **request: Any) -> Any:
        """``repeatable``: the call may be sent again after an answer was lost; by default GET and PUT may."""
        ...


class Account:
    """What belongs to the caller, beside topics and subscriptions; :attr:`notifyx.Client.account`."""

    def __init__(self, send: Send, renew: Callable[[], Awaitable[None]]) -> None:
        """``renew`` obtains another access token, which says who the caller is now."""
        self._send = send
        self._renew = renew

    async def set_name(self, name: str) -> User:
        """Change the name that others see, beside what is published from now on.

        A session whose access token cannot be renewed now publishes with the former name until it is.
        """
        user = parse_answer(User, await self._send("PATCH", "/me", json={"name": name}, repeatable=True))
        with contextlib.suppress(NotifyxError):
            await self._renew()
        return user

    async def set_email(self, email: str, password: str) -> None:
        """Have a link mailed to a new address; the address changes once the link is opened and confirmed."""
        await self._send("PUT", "/me/email", json={"email": email, "password": password}, repeatable=False)

    async def email_change(self) -> EmailChange:
        """Return the new address that awaits its confirmation."""
        return parse_answer(EmailChange, await self._send("GET", "/me/email/change"))

    async def cancel_email_change(self) -> None:
        """End the link to that address. Raises :class:`~notifyx.errors.NotFound` where none awaits a confirmation."""
        await self._send("DELETE", "/me/email/change")

    async def set_password(self, current: str, new: str) -> None:
        """Change the password; the other sessions end."""
        body = {"current_password": current, "new_password": new}
        await self._send("PUT", "/me/password", json=body, repeatable=False)

    async def api_keys(self) -> Sequence[KeyInfo]:
        """Return the caller's API keys, newest first."""
        return parse_answer(ApiKeys, await self._send("GET", "/api-keys")).items

    async def create_api_key(
        self,
        name: str,
        *,
        topics: Sequence[str] = (),
        scopes: Sequence[Scope] = ("read", "publish"),
        expires_at: datetime | None = None,
    ) -> CreatedKey:
        """Create an API key for topics of these patterns (none: all); only this answer holds the key itself."""
        body: dict[str, Any] = {"name": name, "topics": list(topics), "scopes": list(scopes)}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        return parse_answer(CreatedKey, await self._send("POST", "/api-keys", json=body))

    async def delete_api_key(self, key_id: str) -> None:
        """Delete an API key; within two seconds nothing is done with it any more."""
        await self._send("DELETE", f"/api-keys/{quote(key_id, safe='')}")

    async def sessions(self) -> Sequence[SessionInfo]:
        """Return where the caller is signed in, the session used last first."""
        return parse_answer(Sessions, await self._send("GET", "/me/sessions")).items

    async def end_session(self, session_id: str) -> None:
        """End a session; within two seconds all that is open with it closes."""
        await self._send("DELETE", f"/me/sessions/{quote(session_id, safe='')}")

    async def end_other_sessions(self) -> int:
        """End all sessions but the caller's own; return their number."""
        return parse_answer(EndedSessions, await self._send("DELETE", "/me/sessions", repeatable=True)).ended

    async def export(self, write: Callable[[bytes], object]) -> None:
        """Give ``write`` all that is held of the caller, as one JSON document in pieces.

        Raises :class:`~notifyx.errors.AnswerLost` where it was cut off.
        """
        end = bytearray()

        def take(piece: bytes) -> None:
            end.extend(piece[-len(_COMPLETE) - 1 :])
            del end[: -len(_COMPLETE) - 1]
            write(piece)

        await self._send("GET", "/me/export", into=take)
        if not end.rstrip().endswith(_COMPLETE):
            raise AnswerLost("The export was cut off before its end; try again.")

    async def delete(self, password: str, topics: Literal["delete", "keep"] = "keep", *, give_to: str = "") -> None:
        """Delete the caller's account. ``topics``: what becomes of those that the caller alone manages.

        With ``give_to``, those to which the user with that email address subscribes are theirs. This cannot be undone.
        """
        body = {"password": password, "topics": {"give_to": give_to} if give_to else topics}
        await self._send("DELETE", "/me", json=body)
