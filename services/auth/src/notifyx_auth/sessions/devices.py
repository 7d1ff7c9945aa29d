"""Devices on which a user has signed in before: a stranger's guesses do not lock them out.

Each device stores one random token, whichever accounts sign in on it. It proves nothing but that a right password was
once given there, and permits nothing but more attempts, which have a limit of their own
(:mod:`notifyx_auth.sessions.throttle`). Who signs out everywhere, or gets another password, has no known device any
more.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise.backends.base.client import BaseDBAsyncClient

from notifyx_auth.base.models import Device, User
from notifyx_auth.base.secret_formats import digest, email_keys, is_device_token, new_device_token

MAX_DEVICES = 20
"""Known devices of a user; one more replaces the one that was used longest ago."""

_RECORD = """
INSERT INTO devices (user_id, hash, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (user_id, hash) DO UPDATE SET expires_at = excluded.expires_at
"""
_REMOVE_OLDEST = """
DELETE FROM devices WHERE user_id = $1 AND id NOT IN
    (SELECT id FROM devices WHERE user_id = $1 ORDER BY expires_at DESC, id DESC LIMIT $2)
"""


async def owner(email: str, token: str, now: datetime) -> str | None:
    """Return the id of the user with ``email`` if they have signed in on the device of ``token``.

    It is one query whether there is such a user or not: its time tells nothing of that.
    """
    keys = email_keys(email)
    if not keys:
        return None
    rows = Device.filter(user__email_key__in=keys, hash=digest(token), expires_at__gt=now)
    owners = dict(await rows.values_list("user__email_key", "user_id"))
    return next((str(owners[key]) for key in keys if key in owners), None)


async def record(
    transaction: BaseDBAsyncClient, user: User, token: str | None, now: datetime, expires_at: datetime
) -> str:
    """Make the device of ``token`` a known one of ``user``; return its token, which is new for a new device."""
    if token is None or not is_device_token(token) or not await Device.exists(hash=digest(token), expires_at__gt=now):
        token = new_device_token()
    await transaction.execute_query(_RECORD, [user.id, digest(token), expires_at])
    await transaction.execute_query(_REMOVE_OLDEST, [user.id, MAX_DEVICES])
    return token


async def remove_all(user_id: UUID) -> None:
    """Remove the known devices of a user."""
    await Device.filter(user_id=user_id).delete()
