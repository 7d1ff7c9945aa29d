"""Reads where the primary is: one query for all who wait for it, because it is asked for with each page."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from notifyx_common.database import Database
from notifyx_store.base.replica_rules import Position

_TIMELINE = "left(pg_walfile_name(pg_current_wal_flush_lsn()), 8)"

_POSITION = f"""
SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS lsn, pg_current_snapshot()::text AS snapshot,
       (SELECT id FROM primary_terms WHERE timeline = {_TIMELINE}) AS term
"""  # noqa: S608 - a constant

# Both are evaluated by the server that has the timeline, and the row is in its WAL.
_MARK = f"""
INSERT INTO primary_terms (only_row, timeline, id) VALUES (true, {_TIMELINE}, gen_random_uuid())
ON CONFLICT (only_row) DO UPDATE SET timeline = excluded.timeline, id = excluded.id
WHERE primary_terms.timeline <> excluded.timeline
"""  # noqa: S608 - a constant


@dataclass(eq=False, slots=True)
class _Turn:
    """One query, and what came of it."""

    position: Position | None = None
    error: Exception | None = None


class PrimaryPosition:
    """The position of the primary that ``database`` is connected to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._querying = asyncio.Lock()
        self._next = _Turn()

    async def read(self) -> Position:
        """Return a position that the primary had after this was called. Raises the driver's errors.

        Callers who come while a query runs share the next one.
        """
        turn = self._next
        async with self._querying:
            if turn.position is None and turn.error is None:
                self._next = _Turn()
                try:
                    turn.position = await self._query()
                except Exception as error:
                    turn.error = error
                    raise
        if turn.position is None:
            assert turn.error is not None
            raise turn.error
        return turn.position

    async def mark(self) -> None:
        """Mark the term of the primary, unless another store just has. Raises the driver's errors."""
        async with self._database.pool.acquire() as connection:
            await connection.execute(_MARK)

    async def write_out(self) -> None:
        """Let the primary write the WAL out that it has in memory, soon. Raises the driver's errors.

        While one transaction writes and none ends, its disk may end within a record, which no standby can replay. This
        is an empty commit, which waits for nothing.
        """
        async with self._database.pool.acquire() as connection:
            await connection.execute("SELECT pg_current_xact_id()")

    async def _query(self) -> Position:
        async with self._database.pool.acquire() as connection:
            row: asyncpg.Record = await connection.fetchrow(_POSITION)
        return Position.parse(row["lsn"], row["snapshot"], row["term"])
