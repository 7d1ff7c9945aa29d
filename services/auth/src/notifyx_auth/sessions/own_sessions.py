"""The sessions of one user, for that user: what is signed in, and the end of one or of all others."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.models import Session, User
from notifyx_auth.sessions import sessions
from notifyx_auth.users.users import by_id, require_user
from notifyx_common.contracts.sessions import MAX_SESSIONS
from notifyx_common.contracts.sessions import Session as SessionView
from notifyx_common.database import CONNECTION
from notifyx_common.errors import NotFound
from notifyx_common.principal import Principal


async def of_user(owner: Principal, current: str, now: datetime) -> list[SessionView]:
    """Return the sessions that have not ended, the one used last first; ``current`` is the caller's own."""
    user = await _user_of(owner)
    alive = Session.filter(user_id=user.id, ended_at=None, expires_at__gt=now)
    rows = await alive.order_by("-refreshed_at", "id").limit(MAX_SESSIONS)
    return [
        SessionView(
            id=str(row.id),
            created_at=row.created_at,
            last_used_at=row.refreshed_at,
            expires_at=row.expires_at,
            user_agent=row.user_agent,
            address=row.address,
            current=str(row.id) == current,
        )
        for row in rows
    ]


async def end(owner: Principal, session_id: str, changes: ChangeLog, now: datetime) -> None:
    """End a session. Raises :class:`NotFound` for one that is not the owner's, or has ended."""
    user, session = await _user_of(owner), _uuid(session_id)
    async with in_transaction(CONNECTION) as transaction:
        alive = Session.filter(id=session, user_id=user.id, ended_at=None, expires_at__gt=now)
        if not await alive.update(ended_at=now, end_reason="revoked"):
            raise _not_found()
        await changes.record(transaction, user.id, [Change("session", str(session))], now)


async def end_others(owner: Principal, current: str, changes: ChangeLog, now: datetime) -> int:
    """End all sessions but ``current``; return their number. Raises :class:`SessionEnded` where that one has ended."""
    user = await _user_of(owner)
    async with in_transaction(CONNECTION) as transaction:
        await sessions.require_alive(current, user.id, now)
        ended = await sessions.end_others(user.id, current, "revoked", now)
        if ended:
            await changes.record(transaction, user.id, ended, now)
    return len(ended)


async def _user_of(owner: Principal) -> User:
    require_user(owner, "see and end sessions")
    return await by_id(owner.id)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _not_found() from None


def _not_found() -> NotFound:
    return NotFound("You have no such session.")
