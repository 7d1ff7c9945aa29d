"""What a transaction holds is announced once it is committed, and never if it is not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
from tortoise.transactions import in_transaction

from notifyx_common.database import CONNECTION, Database
from notifyx_local.postgres import Cluster
from notifyx_store.base.bus import held, send
from notifyx_store.base.database import database_config
from support.postgres import create_migrated, drop_database, patient
from support.store import SCHEMA, store_settings

Announced = list[tuple[tuple[str, ...], bool]]


@pytest.fixture
def announced() -> Announced:
    return []


@pytest.fixture
async def database(postgres: Cluster, announced: Announced) -> AsyncIterator[Database]:
    def announce(messages: Sequence[str], known: bool) -> None:
        announced.append((tuple(messages), known))

    url = await create_migrated(postgres, SCHEMA)
    made = Database(database_config(store_settings(url), announce=announce))
    patient(made)
    async with made:
        yield made
    await drop_database(postgres, url)


async def test_with_the_commit(database: Database, announced: Announced) -> None:
    async with database.pool.acquire() as connection:
        async with connection.transaction():
            await send(connection, ["a"])
            async with connection.transaction():  # a savepoint
                assert held(connection, ["b"]) == []
            assert announced == []
        assert announced == [(("a", "b"), True)]
        async with connection.transaction():
            pass
    assert len(announced) == 1


async def test_at_once_without_a_transaction(database: Database, announced: Announced) -> None:
    async with database.pool.acquire() as connection:
        await send(connection, ["a"])
    assert announced == [(("a",), True)]


async def test_nothing_of_what_is_rolled_back(database: Database, announced: Announced) -> None:
    async with database.pool.acquire() as connection:
        with contextlib.suppress(ZeroDivisionError):
            async with connection.transaction():
                await send(connection, ["a"])
                raise ZeroDivisionError
        async with connection.transaction():
            await send(connection, ["b"])
    assert announced == [(("b",), True)]


async def test_nothing_of_a_commit_that_postgresql_turns_into_a_rollback(
    database: Database, announced: Announced
) -> None:
    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await send(connection, ["a"])
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("SELECT * FROM nowhere")
        await transaction.commit()
    assert announced == []


async def test_as_unknown_where_the_answer_to_the_commit_is_lost(
    database: Database, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = asyncpg.Connection.execute

    async def lose_answer(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> Any:
        answer = await execute(self, query, *arguments, **options)
        if query.startswith("COMMIT"):
            raise ConnectionResetError
        return answer

    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await send(connection, ["a"])
        monkeypatch.setattr(asyncpg.Connection, "execute", lose_answer)
        with pytest.raises(ConnectionResetError):
            await transaction.commit()
        monkeypatch.undo()
    assert announced == [(("a",), False)]


async def test_of_models_too(database: Database, announced: Announced) -> None:
    async with in_transaction(CONNECTION) as client:
        async with client.acquire_connection() as connection:
            await send(connection, ["a"])
        assert announced == []
    assert announced == [(("a",), True)]


async def test_a_connection_that_holds_nothing_sends_by_notify(postgres: Cluster) -> None:
    url = await create_migrated(postgres, SCHEMA)
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        assert held(connection, ["a"]) == ["a"]
    settings = database_config(store_settings(url))
    async with Database(settings) as plain, plain.pool.acquire() as connection:
        assert held(connection, ["a"]) == ["a"]
    await drop_database(postgres, url)
