"""A store that hangs while it holds rows: PostgreSQL takes them back, and the gateway's batch is accepted elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.store import Store
from support.patience import PATIENCE
from support.postgres import sessions
from support.store import TOKEN, UNSUBSCRIBE_SECRET, StoreClient, running_store, store_settings, user

ANN, BOB = user("ann"), user("bob")


@contextlib.asynccontextmanager
async def store_process(store_database: str, folder: Path) -> AsyncIterator[tuple[subprocess.Popen[bytes], str]]:
    """A store in a process of its own, which can be stopped; its process and URL."""
    ready = folder / "ready.json"
    settings = {"internal_token": TOKEN, "database_url": store_database, "unsubscribe_secret": UNSUBSCRIBE_SECRET,
                "port": "0", "metrics_port": "0", "ready_file": str(ready)}  # fmt: skip
    environment = {"PATH": os.environ["PATH"], **{f"NOTIFYX_{name.upper()}": text for name, text in settings.items()}}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([Path(sys.executable).with_name("notifyx-store")], env=environment, stdout=log,
                                   stderr=log)  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            while not ready.exists():
                assert process.poll() is None, (folder / "log").read_text()
                await asyncio.sleep(0.02)
        yield process, f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"
    finally:
        process.kill()
        process.wait(PATIENCE)


@contextlib.asynccontextmanager
async def gateway_of(discovery: StaticDiscovery) -> AsyncIterator[Store]:
    """A gateway's client of the stores."""
    metrics, clock = Metrics(), SystemClock()
    async with (
        Background(metrics) as background,
        ServiceClient(
            "store",
            discovery=discovery,
            token=TOKEN,
            metrics=metrics,
            clock=clock,
            outages=background,
            hedge_share=0.03,
        ) as client,
        Store(client, clock=clock, metrics=metrics, background=background) as store,
    ):
        yield store


async def until_session(connection: asyncpg.Connection, condition: str) -> None:
    """Wait until one of the stores' sessions is as ``condition`` says."""
    async with asyncio.timeout(PATIENCE):
        while not await sessions(connection, condition):
            await asyncio.sleep(0.01)


async def test_a_store_that_hangs_with_a_topics_row_stops_nobody(store_database: str, tmp_path: Path) -> None:
    async with (
        store_process(store_database, tmp_path) as (process, url),
        running_store(store_settings(store_database)) as healthy,
    ):
        hung, other = Endpoint("hung", url), Endpoint("healthy", healthy.url)
        stores = StaticDiscovery({"store": [hung]})
        async with gateway_of(stores) as first, gateway_of(StaticDiscovery({"store": [other]})) as second:
            await healthy.ok("POST", "/topics", ANN, {"name": "news", "publishers": ["*"]})
            connection = await asyncpg.connect(store_database)
            try:
                async with connection.transaction():
                    # The store then waits in its last statement, with the topic's row in its hands.
                    await connection.execute("LOCK TABLE publish_batches IN SHARE MODE")
                    caught = first.enqueue_publish(ANN, "news", KeyedNotification(title="caught"))
                    await until_session(connection, "wait_event_type = 'Lock'")
                    process.send_signal(signal.SIGSTOP)
                    stores.replace("store", [hung, other])  # for the next attempt
                await until_session(connection, "state LIKE 'idle in transaction%'")
            finally:
                await connection.close()
            stranger = second.enqueue_publish(BOB, "news", KeyedNotification(title="stranger"))
            # Each has the deadline of a batch, and no more than that.
            accepted = {(await caught).seq, (await stranger).seq}
            assert accepted == {1, 2}
            process.send_signal(signal.SIGCONT)
            woken = StoreClient(url, healthy.session)
            again = await woken.publish(ANN, {"topic": "news", "title": "after"})
            assert again[0]["seq"] == 3, "what the stopped transaction wrote is gone, and the log has no gap"
    assert "request_crashed" not in (tmp_path / "log").read_text(), "the lost session is told as unavailable"
