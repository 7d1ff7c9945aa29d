"""Measures how full the volume of PostgreSQL is, for the alarm of storage.

PostgreSQL does not tell how much space is left, so what its databases use is compared with the size of the volume, and
where this process sees the volume (``notifyx up``), its free space is measured. An error for want of space begins the
alarm as well (see ``log/publish.py``).
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from notifyx_common.alarms import Alarms
from notifyx_common.background import Background, every
from notifyx_common.database import lost_as_unavailable
from notifyx_common.errors import Unavailable
from notifyx_store.base.context import StoreContext
from notifyx_store.base.settings import StoreSettings

INTERVAL = 5.0
"""Seconds between two measurements."""

_USED = """
SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')
"""


@asynccontextmanager
async def watch_storage(
    context: StoreContext, alarms: Alarms, background: Background, *, interval: float = INTERVAL
) -> AsyncIterator[None]:
    """Measure the storage while the block is entered, if the settings say how; wait while the database is away."""
    settings = context.settings

    async def step() -> None:
        used = 0
        if settings.storage_capacity:
            async with context.pool.acquire() as connection:
                used = await connection.fetchval(_USED)
        free = shutil.disk_usage(settings.storage_path).free if settings.storage_path is not None else None
        alarms.measure("storage", fullness(settings, used=used, free=free), 1.0)

    async with background.tasks() as tasks:
        if settings.storage_capacity or settings.storage_path is not None:
            away = (Unavailable, asyncpg.PostgresError)
            tasks.endless("storage alarm", every(interval, lost_as_unavailable(step), away=away))
        yield


def fullness(settings: StoreSettings, *, used: int, free: int | None) -> float:
    """Return how full the storage is, as a part of what begins the alarm: 1 is the mark."""
    parts = [0.0]
    if settings.storage_capacity:
        parts.append(used / (settings.storage_capacity * settings.storage_high))
    if free is not None:
        parts.append(settings.storage_min_free / max(free, 1))
    return max(parts)
