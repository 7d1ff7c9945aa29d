"""Databases of tests are used again: empty, and only if anybody can use them."""

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
