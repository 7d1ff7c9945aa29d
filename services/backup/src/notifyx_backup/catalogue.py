"""What a database holds, as PostgreSQL's catalogue says: tables in the order of their references, and sequences."""

from __future__ import annotations

from graphlib import TopologicalSorter

import asyncpg

from notifyx_common.database import APPLIED_TABLE, RESTORE_MARKER

_TABLES = """
SELECT c.oid, c.relname AS name, array(
    SELECT a.attname::text FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ORDER BY a.attnum) AS columns
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> ALL($1::text[])
ORDER BY c.relname
"""

_REFERENCES = """
SELECT conrelid AS source, confrelid AS target FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid
"""

_SEQUENCES = """
SELECT t.relname AS table, a.attname AS column, s.oid::regclass::text AS sequence
FROM pg_class s
JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                AND d.deptype IN ('a', 'i')
JOIN pg_class t ON t.oid = d.refobjid
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S' AND s.relnamespace = current_schema()::regnamespace AND t.relname <> ALL($1::text[])
ORDER BY 1, 2
"""

_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""

NOT_CONTENTS = [APPLIED_TABLE, RESTORE_MARKER]
"""Tables that are not part of a backup: the migrations that a restore applies write the first."""


async def tables(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Return the columns of each table; a table comes after those that it refers to."""
    rows = {row["oid"]: row for row in await connection.fetch(_TABLES, NOT_CONTENTS)}
    order: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(rows, ()))
    for row in await connection.fetch(_REFERENCES):
        if row["source"] in rows and row["target"] in rows:
            order.add(row["source"], row["target"])
    return {rows[oid]["name"]: list(rows[oid]["columns"]) for oid in order.static_order()}


async def sequences(connection: asyncpg.Connection) -> dict[str, str]:
    """Return the sequence of each ``table.column`` that has one."""
    rows = await connection.fetch(_SEQUENCES, NOT_CONTENTS)
    return {f"{row['table']}.{row['column']}": row["sequence"] for row in rows}


async def drop_all(connection: asyncpg.Connection) -> None:
    """Remove every table and function but for the marker of the restore."""
    names = [*await tables(connection), APPLIED_TABLE]
    for name in names:
        await connection.execute(f"DROP TABLE IF EXISTS {quoted(name)} CASCADE")
    for row in await connection.fetch(_FUNCTIONS):
        await connection.execute(f"DROP FUNCTION {row[0]} CASCADE")


def quoted(name: str) -> str:
    """Return ``name`` as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
