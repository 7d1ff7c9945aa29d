"""How old the newest backup is."""

from __future__ import annotations

from datetime import datetime

import asyncpg

# Where there is no backup, everything since the first topic is in none.
_TAKEN_AT = "SELECT coalesce((SELECT max(taken_at) FROM backups), (SELECT min(created_at) FROM topics))"


async def backup_age(connection: asyncpg.Connection, now: datetime) -> float:
    """Return for how many seconds what is new has been in no backup; 0 where there is nothing."""
    taken_at: datetime | None = await connection.fetchval(_TAKEN_AT)
    return 0.0 if taken_at is None else max((now - taken_at).total_seconds(), 0.0)
