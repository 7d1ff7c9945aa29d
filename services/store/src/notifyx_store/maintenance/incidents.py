"""The list of incidents in the database, which gateways read and write as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from notifyx_common.contracts.store.incidents import Incident
from notifyx_store.base.locking import LOCK_INCIDENTS
from notifyx_store.maintenance.incident_rules import StoredIncident, merge

_READ = "SELECT key, cause, severity, sentence, began, ended, seen FROM incidents ORDER BY began, id"
_CLEAR = "DELETE FROM incidents"
_WRITE = """
INSERT INTO incidents (key, cause, severity, sentence, began, ended, seen) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def merge_incidents(
    connection: asyncpg.Connection, observed: Sequence[Incident], now: datetime
) -> list[Incident]:
    """Merge what a gateway has observed into the list, and return it."""
    async with connection.transaction():
        await connection.execute(LOCK_INCIDENTS)
        before = [_stored(row) for row in await connection.fetch(_READ)]
        after = merge(before, observed, now)
        if after != before:
            await connection.execute(_CLEAR)
            await connection.executemany(_WRITE, [(*one.incident.model_dump().values(), one.seen) for one in after])
    return [one.incident for one in after]


def _stored(row: asyncpg.Record) -> StoredIncident:
    fields = dict(row)
    seen = fields.pop("seen")
    return StoredIncident(Incident.model_validate(fields), seen)
