"""What API keys and secrets of webhooks share: programs act with them in the name of their owner."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tortoise.expressions import Q

from notifyx_auth.base.models import ApiKey, Hook, User
from notifyx_auth.sessions import sessions
from notifyx_common.principal import Principal, Scope

LAST_USED_INTERVAL = timedelta(minutes=1)
"""Minimum time between two updates of ``last_used_at``."""


async def lock_owner(user: User, session: str, now: datetime) -> None:
    """Lock the row of ``user``, in the caller's transaction. Raises :class:`SessionEnded`.

    Two requests cannot both use the last place, and none comes after the account got another password.
    """
    await User.filter(id=user.id).select_for_update().first()  # of a deleted user no session is alive
    await sessions.require_alive(session, user.id, now)


async def record_use(row: ApiKey | Hook, now: datetime) -> None:
    """Record the use of a credential, at most once in :data:`LAST_USED_INTERVAL`."""
    if row.last_used_at is None or row.last_used_at <= now - LAST_USED_INTERVAL:
        due = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_INTERVAL)
        await type(row).filter(due, id=row.id).update(last_used_at=now)


def owner_with(row: ApiKey | Hook, scopes: Iterable[Scope], topics: Iterable[str]) -> Principal:
    """Return the principal of a credential: its owner, with these scopes and topics (none: all)."""
    user: User = row.user
    return Principal(
        id=str(user.id),
        kind="api_key",
        email=user.email,
        email_verified=user.email_verified,
        name=user.name,
        role="admin" if user.role == "admin" else "user",
        scopes=frozenset(scopes),
        topics=tuple(topics) or None,
        key_id=row.id,
    )
