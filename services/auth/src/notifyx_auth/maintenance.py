"""Periodic work of auth: refresh the signing keys, delete expired rows."""

from __future__ import annotations

from datetime import datetime

from notifyx_auth.base.errors import WrongSecret
from notifyx_auth.signing.keyring import Keyring
from notifyx_common.database import Database
from notifyx_common.logs import get_logger

log = get_logger(__name__)

# A limit of rows for each statement, so that no request waits for locks while a backlog is deleted.
_DELETE_EXPIRED = tuple(
    f"DELETE FROM {table} WHERE {key} = ANY(ARRAY(SELECT {key} FROM {table} WHERE {due} < $1"  # noqa: S608 - our own names
    " LIMIT 1000 FOR UPDATE SKIP LOCKED))"
    for table, key, due in (
        ("sessions", "id", "expires_at"),
        ("verifications", "hash", "expires_at"),
        ("password_resets", "hash", "expires_at"),
        ("email_changes", "hash", "expires_at"),
        ("stream_tickets", "hash", "expires_at"),
        ("devices", "id", "expires_at"),
        ("login_attempts", "key", "full_at"),
        ("credential_changes", "id", "until"),
        ("account_changes", "id", "until"),
        ("account_mails", "id", "expires_at"),
    )
)


async def delete_expired(database: Database, now: datetime) -> None:
    """Delete expired sessions, links, tickets, devices, login attempts, changes and mails.

    Raises :class:`Unavailable`.
    """
    async with database.guard():
        for statement in _DELETE_EXPIRED:
            while await database.pool.execute(statement, now) == "DELETE 1000":
                pass


async def run_maintenance(keyring: Keyring, database: Database, now: datetime) -> None:
    """Refresh the keys and delete expired rows, once. Raises :class:`Unavailable`."""
    try:
        await keyring.refresh()
    except WrongSecret as error:
        # Another replica has another secret: the loaded keys stay in use.
        log.error("signing_keys_unreadable", reason=error.reason)
    await delete_expired(database, now)
