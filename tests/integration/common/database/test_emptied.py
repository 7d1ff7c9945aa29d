"""Databases of tests are used again: empty, and only if anybody can use them; and so are the sessions with them."""

from __future__ import annotations

from urllib.parse import urlsplit

import asyncpg
import pytest

from notifyx_local.postgres import Cluster
from support.auth import SCHEMA
from support.postgres import create_migrated, drop_database

ADD = """
INSERT INTO users (id, email, email_key, email_verified, name, role, password_hash, created_at)
VALUES (gen_random_uuid(), 'ada@example.com', 'ada@example.com', true, 'Ada', 'user', '', now())
"""


async def used_and_left(postgres: Cluster) -> str:
    """Return a database that a test has used, which is the next one to be used again."""
    url = await create_migrated(postgres, SCHEMA)
    await drop_database(postgres, url)
    return url


async def test_it_is_empty_and_nobody_is_connected(postgres: Cluster) -> None:
    url = await used_and_left(postgres)
    for _ in range(2):
        assert await create_migrated(postgres, SCHEMA) == url
        other = await asyncpg.connect(url)
        assert await other.fetchval("SELECT count(*) FROM users") == 0
        await other.execute(ADD)
        await drop_database(postgres, url)
    assert await create_migrated(postgres, SCHEMA) == url
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        await other.execute("SELECT 1")
    await drop_database(postgres, url)


@pytest.mark.parametrize(
    "spoil",
    [
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        "ALTER DATABASE {name} CONNECTION LIMIT 0",
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'",
    ],
    ids=["closed", "limited", "disconnected"],
)
async def test_one_that_a_test_has_spoilt_is_not_used_again(postgres: Cluster, spoil: str) -> None:
    url = await used_and_left(postgres)
    assert await create_migrated(postgres, SCHEMA) == url
    admin = await asyncpg.connect(postgres.dsn())
    await admin.execute(spoil.format(name=urlsplit(url).path[1:]))
    await admin.close()
    await drop_database(postgres, url)
    another = await create_migrated(postgres, SCHEMA)
    assert another != url
    await (await asyncpg.connect(another)).close()
    await drop_database(postgres, another)


async def test_a_session_goes_on_as_a_new_one_begins(postgres: Cluster) -> None:
    url = await create_migrated(postgres, SCHEMA)
    of_service = {"application_name": "notifyx-store"}
    first = await asyncpg.connect(url, server_settings=of_service)
    pid = await first.fetchval("SELECT pg_backend_pid()")
    await first.execute(
        "SET work_mem = '7MB'; LISTEN news; SELECT pg_advisory_lock(7); CREATE TEMP TABLE mine (it int)"
    )
    await first.execute("PREPARE one AS SELECT 1")
    await first.close()
    assert first.is_closed()
    other = await asyncpg.connect(url)
    names = "SELECT application_name FROM pg_stat_activity WHERE pid = $1"
    assert await other.fetchval(names, pid) == "nobody"
    await other.close()
    async with asyncpg.create_pool(url, min_size=1, max_size=1, server_settings=of_service) as pool:
        assert await pool.fetchval("SELECT pg_backend_pid()") == pid
        assert await pool.fetchval(names, pid) == "notifyx-store"
        assert await pool.fetchval("SELECT 1 + $1", 1) == 2
        assert await pool.fetchval("SHOW work_mem") != "7MB"
        for what in ("pg_listening_channels()", "pg_prepared_statements WHERE name = 'one'"):
            assert await pool.fetch(f"SELECT * FROM {what}") == []
        assert await pool.fetch("SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == []
        assert await pool.fetchval("SELECT to_regclass('mine')") is None
    await drop_database(postgres, url)


@pytest.mark.parametrize("how", ["in a transaction", "by the server", "at once", "as somebody else"])
async def test_a_session_that_is_not_as_new_ends(postgres: Cluster, how: str) -> None:
    url = await create_migrated(postgres, SCHEMA)
    first, other = await asyncpg.connect(url), await asyncpg.connect(url)
    pid = await first.fetchval("SELECT pg_backend_pid()")
    if how == "in a transaction":
        await first.execute("BEGIN")
    if how == "at once":
        first.terminate()
    else:
        await first.close()
    if how == "by the server":
        assert await other.fetchval("SELECT pg_terminate_backend($1, 60000)", pid)
    options = {"application_name": "another"} if how == "as somebody else" else {}
    next_one = await asyncpg.connect(url, server_settings=options)
    assert await next_one.fetchval("SELECT pg_backend_pid()") != pid
    await next_one.close()
    await other.close()
    await drop_database(postgres, url)
