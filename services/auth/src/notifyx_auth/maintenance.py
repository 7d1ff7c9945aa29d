"""What auth does without being asked: looks for new signing keys, and removes what has expired."""

from __future__ import annotations

from datetime import datetime

from notifyx_auth.errors import WrongSecret
from notifyx_auth.keyring import Keyring
from notifyx_common.database import Database
from notifyx_common.logs import get_logger

log = get_logger(__name__)

# At most so many rows a statement: nobody waits for a lock while a backlog is removed.
_DELETE_EXPIRED = tuple(
    f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {due} < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)"  # noqa: S608 - our own names
    for table, key, due in (
        ("sessions", "id", "expires_at"),
        ("verifications", "hash", "expires_at"),
        ("login_attempts", "key", "full_at"),
    )
)


async def delete_expired(database: Database, now: datetime) -> None:
    """Remove sessions, verifications and throttles that are over. Raises :class:`Unavailable`."""
    async with database.guard():
        for statement in _DELETE_EXPIRED:
            while await database.pool.execute(statement, now) == "DELETE 1000":
                pass


async def run_maintenance(keyring: Keyring, database: Database, now: datetime) -> None:
    """Refresh the keys and delete expired rows, once. Raises :class:`Unavailable`."""
    try:
        await keyring.refresh()
    except WrongSecret as error:
        # Another replica was given another secret: the keys that are held stay in use.
        log.error("signing_keys_unreadable", reason=error.reason)
    await delete_expired(database, now)
