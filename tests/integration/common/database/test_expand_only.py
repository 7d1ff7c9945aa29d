"""Migrations only add: the version before goes on serving while they run, and until its last node is replaced.

A column or table is removed in a release after the one that stopped using it (expand, then contract); that migration
is named in ``CONTRACTING``, with the release in which nothing used it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from notifyx_common.database import DatabaseConfig, migrating
from notifyx_common.database.migrations import migration_names
from notifyx_local.postgres import Cluster
from support.auth import SCHEMA as AUTH
from support.postgres import create_database, drop_database
from support.store import SCHEMA as STORE

CONTRACTING: Mapping[str, str] = {}
"""Migrations that may take something away, such as ``"store 0042_old_column"``, and why."""

NEWEST = 4
"""Migrations of each service that are checked; older ones were checked when they were new, and do not change."""

CATALOGUE = """
SELECT 'column' AS kind, c.relname AS of, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS definition,
       a.attnotnull AS needed,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS given
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0
    AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), true, true
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'x')
UNION ALL
SELECT 'unique index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid), true, true
FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indisunique AND c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'function', '', proname, pg_get_function_identity_arguments(oid), false, false
FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""

Catalogue = Mapping[tuple[str, str, str], tuple[str, bool, bool]]
"""By kind, table and name: the definition, whether a row needs it, and whether a row has to be given it."""


async def catalogue(connection: asyncpg.Connection) -> Catalogue:
    """Return what statements of a version can depend on."""
    rows: list[Any] = await connection.fetch(CATALOGUE)
    return {(row[0], row[1], row[2]): (row[3], row[4], row[5]) for row in rows}


def taken_away(before: Catalogue, after: Catalogue) -> list[str]:
    """Return what a version that knows ``before`` reads and no longer finds, or writes and may no longer write."""
    tables = {of for kind, of, _ in before if kind == "column"}
    found = []
    for (kind, of, name), (definition, needed, given) in before.items():
        now = after.get((kind, of, name))
        if now is None and kind in ("column", "function"):
            found.append(f"{kind} {of}.{name} is gone")
        elif now is not None and now[0] != definition:
            found.append(f"{kind} {of}.{name} was {definition} and is {now[0]}")
        elif now is not None and ((now[1] and not needed) or (now[2] and not given)):
            found.append(f"{kind} {of}.{name} has to be given now")
    for (kind, of, name), (definition, _, given) in after.items():
        if given and of in tables and (kind, of, name) not in before:
            found.append(f"{kind} {of}.{name} is new, and rows may violate it: {definition}")
    return found


@pytest.mark.parametrize("schema", [AUTH, STORE], ids=["auth", "store"])
async def test_the_version_before_finds_all_that_it_reads_and_may_write_what_it_wrote(
    postgres: Cluster, schema: DatabaseConfig
) -> None:
    url = await create_database(postgres)
    *_, first = (names := migration_names(schema))[:-NEWEST]
    found: dict[str, list[str]] = {}
    async with migrating(replace(schema, url=SecretStr(url))) as migration:
        await migration.apply(first)
        before = await catalogue(migration.connection)
        for name in names[-NEWEST:]:
            await migration.apply(name)
            after = await catalogue(migration.connection)
            if wrong := taken_away(before, after):
                found[f"{schema.app} {name}"] = wrong
            before = after
    await drop_database(postgres, url)
    unexpected = {name: wrong for name, wrong in found.items() if name not in CONTRACTING}
    assert not unexpected, "expand first, and contract in a later release: see the docstring"


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("ALTER TABLE things DROP COLUMN name", "column things.name is gone"),
        ("ALTER TABLE things RENAME TO others", "column things.id is gone"),
        ("ALTER TABLE things ALTER COLUMN name TYPE varchar(10)", "was text and is character varying"),
        ("ALTER TABLE things ALTER COLUMN name SET NOT NULL", "column things.name has to be given"),
        ("ALTER TABLE things ALTER COLUMN size DROP DEFAULT", "column things.size has to be given"),
        ("ALTER TABLE things ADD COLUMN kind text NOT NULL", "column things.kind is new"),
        ("CREATE UNIQUE INDEX things_names ON things (name)", "unique index things.things_names is new"),
        ("ALTER TABLE things ADD CHECK (size < 9)", "constraint things.things_size_check is new"),
        ("DROP FUNCTION half", "function .half is gone"),
    ],
)
async def test_what_takes_something_away_is_found(fresh: asyncpg.Connection, statement: str, wrong: str) -> None:
    await fresh.execute("CREATE TABLE things (id int PRIMARY KEY, name text, size int NOT NULL DEFAULT 1)")
    await fresh.execute("CREATE FUNCTION half(n int) RETURNS int LANGUAGE sql AS 'SELECT n / 2'")
    before = await catalogue(fresh)
    await fresh.execute("ALTER TABLE things ADD COLUMN extra text, ADD COLUMN more int NOT NULL DEFAULT 2")
    await fresh.execute("CREATE TABLE others_of_later (id int PRIMARY KEY, thing int NOT NULL REFERENCES things (id))")
    assert taken_away(before, await catalogue(fresh)) == []
    await fresh.execute(statement)
    assert wrong in "; ".join(taken_away(before, await catalogue(fresh)))


@pytest.fixture
async def fresh(postgres: Cluster) -> Any:
    """A connection in a transaction that is rolled back."""
    connection = await asyncpg.connect(postgres.dsn())
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()
