"""Databases that tests have used, emptied for the next one: less than half the work of a copy of a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from support.patience import PATIENCE

FIRST_ID_OF_OTHERS = 16_384
"""Below it are the ids of what PostgreSQL itself has: its ``FirstNormalObjectId``."""

GROWN = 2 << 20
"""Bytes that a database may grow by until it is not used again: rows that are deleted leave their place behind."""

MIGRATIONS = "tortoise_migrations"

TABLES = f"""
SELECT array_agg(oid::regclass::text) FILTER (WHERE relkind = 'r') AS tables,
       array_agg(oid::regclass::text) FILTER (WHERE relkind = 'S') AS sequences
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^{MIGRATIONS}'
"""

STATE = f"""
SELECT pg_database_size(current_database()) AS size, concat_ws('; ',
    (SELECT string_agg(concat_ws(' ', relname, relkind, relnatts, relchecks, relhastriggers), ', ' ORDER BY oid)
     FROM pg_class WHERE oid >= {FIRST_ID_OF_OTHERS} AND relkind <> 't'),
    (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_proc WHERE oid >= {FIRST_ID_OF_OTHERS}),
    (SELECT string_agg(name, ', ' ORDER BY name) FROM {MIGRATIONS}),
    (SELECT concat_ws(' ', datallowconn, datconnlimit) FROM pg_database WHERE datname = current_database())) AS schema
"""

DISCONNECT = f"""
SELECT count(pg_terminate_backend(pid, {round(PATIENCE * 1000)})) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL($1)
"""


@dataclass(frozen=True, slots=True)
class Emptying:
    """What empties the databases of one template."""

    schema: str
    size: int
    script: str

    async def empty(self, connection: asyncpg.Connection, idle: Sequence[int] = ()) -> bool:
        """Disconnect everybody else from the database and remove all rows; ``False`` if it has to be dropped instead.

        ``idle``: the processes of sessions that nobody uses, which stay.

        That is one which a test has changed otherwise, or has filled with much.
        """
        await connection.fetchval(DISCONNECT, idle)
        now = await connection.fetchrow(STATE)
        if now["schema"] != self.schema or now["size"] > self.size + GROWN:
            return False
        await connection.execute(self.script)
        return True


async def emptying(url: str) -> Emptying:
    """Return what empties databases like the one at ``url``, which is empty."""
    connection = await asyncpg.connect(url)
    try:
        state, names = await connection.fetchrow(STATE), await connection.fetchrow(TABLES)
    finally:
        await connection.close()
    steps = [
        "SET LOCAL session_replication_role = replica",  # neither foreign keys nor triggers
        *(f"DELETE FROM {table}" for table in names["tables"]),
        *(f"SELECT setval('{sequence}', 1, false)" for sequence in names["sequences"] or ()),
    ]
    return Emptying(state["schema"], state["size"], "; ".join(["BEGIN", *steps, "COMMIT"]))
