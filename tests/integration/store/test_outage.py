"""kill -9 of PostgreSQL in the middle of publishes: 503 meanwhile, 504 for what it was committing, never 500.

Nothing answered is lost or doubled.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifyx_common.principal import system_principal
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster, prepare
from support.patience import PATIENCE
from support.postgres import create_database, start
from support.run_folder import run_folder
from support.store import running_store, store_settings, user
from support.store_traffic import follow, publish_each

ANN = user("ann")


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A folder for a server that this test may kill."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=run_folder()))
    folder.chmod(0o755)
    try:
        yield prepare(folder, free_port())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
async def test_a_killed_database(own_cluster: Cluster) -> None:
    process = await asyncio.to_thread(start, own_cluster)
    try:
        database = await create_database(own_cluster)
        async with running_store(store_settings(database)) as store:
            topic = (await store.ok("POST", "/topics", ANN, {"name": "news"}))["id"]
            received: list[int] = []
            feed = asyncio.create_task(follow(store, topic, received))
            statuses: set[int] = set()
            answered: dict[str, int] = {}
            publishers = [asyncio.create_task(publish_each(store, ANN, n, 60, answered, statuses)) for n in range(4)]
            while len(answered) < 60:
                await asyncio.sleep(0.005)
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait, PATIENCE)
            await asyncio.sleep(0.5)
            process = await asyncio.to_thread(start, own_cluster)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*publishers)
            assert {200, 503} <= statuses <= {200, 503, 504}
            assert len(answered) == 240
            assert sorted(answered.values()) == list(range(1, 241)), "each published once, though sent again"
            async with asyncio.timeout(PATIENCE):
                while not received or received[-1] < 240:
                    await asyncio.sleep(0.02)
            assert received == list(range(1, 241))
            await store.ok("PUT", "/topics/news/subscription", ANN, {})
            assert (await store.ok("GET", "/ledger", system_principal("test")))["balanced"]
            feed.cancel()
            await asyncio.gather(feed, return_exceptions=True)
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait, PATIENCE)
