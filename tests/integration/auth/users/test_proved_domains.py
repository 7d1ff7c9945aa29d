"""Accounts of an earlier release, which mailed a domain with ß as one with ss: the proved mailbox stays theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from notifyx_auth.base.secret_formats import email_key
from notifyx_common.database import migrating
from notifyx_local.postgres import Cluster
from support.auth import SCHEMA
from support.postgres import create_database, drop_database

SHARP, DOUBLE = "X@Stra\u00dfe.de", "X@Strasse.de"
OLDEST, OLD = "x@stra\u00dfe.de", "x@strasse.de"
"""The key of such an account: in lower case at first, and later where its mail went."""


@pytest.fixture
async def earlier(postgres: Cluster) -> AsyncIterator[Any]:
    """The tables as they were before, in a transaction."""
    url = await create_database(postgres)
    async with migrating(replace(SCHEMA, url=SecretStr(url))) as migration:
        await migration.apply("0013_account_names")
        yield migration
    await drop_database(postgres, url)


async def account(connection: asyncpg.Connection, email: str, key: str, *, verified: bool) -> Any:
    user = uuid4()
    await connection.execute(
        "INSERT INTO users (id, email, email_key, email_verified, name, role, password_hash, created_at)"
        " VALUES ($1, $2, $3, $4, '', 'user', 'a hash', now())",
        user, email, key, verified,
    )  # fmt: skip
    for table in ("verifications", "password_resets"):
        await connection.execute(
            f"INSERT INTO {table} (hash, user_id, created_at, expires_at) VALUES ($1, $2, now(), now())",
            f"{table} {user}"[:64],
            user,
        )
    return user


@pytest.mark.parametrize("key", [OLDEST, OLD])
@pytest.mark.parametrize("verified", [True, False])
async def test_a_verified_account_has_the_address_that_it_proved_and_another_proves_its_own(
    earlier: Any, key: str, *, verified: bool
) -> None:
    connection = earlier.connection
    user = await account(connection, SHARP, key, verified=verified)
    other = await account(connection, "Bob@Example.org", "bob@example.org", verified=False)
    await connection.execute(
        "INSERT INTO email_changes (hash, user_id, email, created_at, expires_at) VALUES ('h', $1, $2, now(), now())",
        other, SHARP,
    )  # fmt: skip
    await earlier.apply()
    row = await connection.fetchrow("SELECT email, email_key, email_verified FROM users WHERE id = $1", user)
    expected = DOUBLE if verified else SHARP
    assert tuple(row) == (expected, email_key(expected), verified)
    for table in ("verifications", "password_resets"):
        links = await connection.fetch(f"SELECT user_id FROM {table} ORDER BY user_id = $1", user)
        assert [one[0] for one in links] == ([other, user] if verified else [other]), "the link went elsewhere"
    assert await connection.fetchval("SELECT email FROM email_changes") == DOUBLE, "its link went there"
    assert await connection.fetchval("SELECT email FROM users WHERE id = $1", other) == "Bob@Example.org"


async def test_two_accounts_of_one_mailbox_keep_the_keys_that_they_sign_in_with(earlier: Any) -> None:
    connection = earlier.connection
    sharp = await account(connection, SHARP, OLDEST, verified=True)
    double = await account(connection, DOUBLE, OLD, verified=True)
    joined = await account(connection, "x@stra\u200cs\u200dse.de", "x@stra\u200cs\u200dse.de", verified=True)
    await earlier.apply()
    rows = await connection.fetch("SELECT id, email, email_key FROM users")
    assert {row["id"]: (row["email"].lower(), row["email_key"]) for row in rows} == {
        sharp: (OLD, OLDEST),
        double: (OLD, OLD),
        joined: (OLD, "x@stra\u200cs\u200dse.de"),
    }
