"""PostgreSQL with synchronous standbys: a failover under publishes, and commits that no standby has confirmed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from chaos.histories.links import Link
from chaos.histories.replicas import Replicas
from chaos.histories.wiring import with_port
from notifyx_common.database import Database, DatabaseUnreachable
from notifyx_common.errors import Unavailable
from notifyx_common.principal import system_principal
from support.patience import PATIENCE, until
from support.run_folder import run_folder
from support.store import SCHEMA, running_store, store_settings, user
from support.store_traffic import follow, publish_each

ANN = user("ann")
GIVEN_UP = 0.1
"""Seconds after which somebody no longer waits for a commit."""

COUNT = 20
"""Messages of each publisher."""


@pytest.fixture
def replication() -> Link:
    return Link("replication", Random(1))


@pytest.fixture
async def replicas(replication: Link) -> AsyncIterator[Replicas]:
    folder = Path(tempfile.mkdtemp(prefix="replicas-", dir=run_folder()))
    folder.chmod(0o755)
    try:
        async with Replicas(Link("service", Random(1)), replication, standbys=1).running(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _store_url(replicas: Replicas) -> str:
    return replicas.url.removesuffix("postgres") + "notifyx_store"


@pytest.mark.slow
async def test_a_failover_loses_nothing_that_was_answered(replicas: Replicas) -> None:
    async with running_store(store_settings(_store_url(replicas))) as store:
        topic = (await store.ok("POST", "/topics", ANN, {"name": "news"}))["id"]
        received: list[int] = []
        feed = asyncio.create_task(follow(store, topic, received))
        statuses: set[int] = set()
        answered: dict[str, int] = {}
        publishers = [asyncio.create_task(publish_each(store, ANN, n, COUNT, answered, statuses)) for n in range(3)]
        await until(lambda: len(answered) >= COUNT // 2, "publishes are answered")
        await replicas.fail_over(0.1)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*publishers)
        assert {200, 503} <= statuses <= {200, 503, 504}
        page = await store.ok("GET", "/topics/news/notifications?after=0&limit=200", ANN)
        assert {item["title"]: item["seq"] for item in page["items"]} == answered
        assert sorted(answered.values()) == list(range(1, 3 * COUNT + 1)), "each published once, though sent again"
        await until(lambda: received == sorted(answered.values()), "all is delivered, once and in order")
        assert (await store.ok("GET", "/ledger", system_principal("test")))["balanced"]
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)


async def test_what_only_the_primary_has_is_seen_by_nobody(replicas: Replicas, replication: Link) -> None:
    reader = await asyncpg.connect(_store_url(replicas))
    await reader.execute("CREATE TABLE kept (name text)")
    config = replace(SCHEMA, url=SecretStr(_store_url(replicas)), command_timeout=0.3)
    async with Database(config) as database:
        with replication.fault("stall"):
            for commit in (_one_statement, _transaction, _cancelled):
                with pytest.raises(Unavailable):
                    async with database.guard():
                        await commit(database)
            assert await reader.fetch("SELECT name FROM kept") == []
        wanted = {"one statement", "transaction", "cancelled"}

        async def kept() -> bool:
            return {row["name"] for row in await reader.fetch("SELECT name FROM kept")} == wanted

        await until(kept, "the commits go on once a standby follows")
    await reader.close()
    await _check_that_a_standby_is_not_used(replicas)


async def _check_that_a_standby_is_not_used(replicas: Replicas) -> None:
    """Let an address lead to the primary first, and then to a standby."""
    ports = [urlsplit(url).port or 0 for url in (replicas.url, replicas.standby_urls[0])]
    link = Link("moved", Random(1))
    async with link.port("127.0.0.1", 0, lambda: ("127.0.0.1", ports[0])) as port:
        config = replace(SCHEMA, url=SecretStr(with_port(_store_url(replicas), port)), start_deadline=0.1)
        async with Database(config) as database:
            await database.check()
            ports.pop(0)
            link.cut()
            for _ in range(3):  # the first one may only find that its connection is gone
                with pytest.raises(Unavailable):
                    await database.check()
        with pytest.raises(DatabaseUnreachable, match="it is a standby"):
            async with Database(config):
                pass


async def _one_statement(database: Database) -> None:
    await database.pool.execute("INSERT INTO kept VALUES ('one statement')")


async def _transaction(database: Database) -> None:
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO kept VALUES ('transaction')")


async def _cancelled(database: Database) -> None:
    async with asyncio.timeout(GIVEN_UP):
        await database.pool.execute("INSERT INTO kept VALUES ('cancelled')", timeout=PATIENCE)
