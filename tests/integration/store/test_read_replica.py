"""Pages from a standby: what a reader was shown is in them, whatever the standby lacks, or has too early."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from chaos.histories.links import Link
from chaos.histories.replicas import Replicas
from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.database import Database
from notifyx_common.metrics import Metrics
from notifyx_store.app import StoreNode
from notifyx_store.base import read_replica
from notifyx_store.base.database import database_config
from notifyx_store.base.primary_position import PrimaryPosition
from notifyx_store.base.read_replica import ReadReplica
from support.patience import PATIENCE, until
from support.run_folder import run_folder
from support.store import StoreClient, running_store, store_settings, user
from support.store_traffic import follow

ANN, BOB = user("ann"), user("bob")

LOG = "/topics/news/notifications?after=0"


@dataclass
class Reading:
    """Two stores with a read replica, and direct ways to both servers. The first one is called, unless it is said."""

    store: StoreClient
    peer: StoreClient
    node: StoreNode
    primary: asyncpg.Connection
    standby: asyncpg.Connection

    def count(self, name: str, **labels: str) -> float:
        return self.node.metrics.registry.get_sample_value(name, labels) or 0.0

    def fallbacks(self) -> float:
        return self.count("notifyx_page_reads_total", source="primary")

    async def seqs(self, path: str = LOG) -> list[int]:
        """The seqs in a page, which is the same at both stores."""
        pages = [await store.ok("GET", path, ANN) for store in (self.store, self.peer)]
        assert pages[0] == pages[1]
        return [item["seq"] for item in pages[0]["items"]]

    async def from_replica(self) -> bool:
        """Read a page; return whether the replica read it."""
        before = self.count("notifyx_page_reads_total", source="replica")
        await self.seqs()
        return self.count("notifyx_page_reads_total", source="replica") > before

    async def is_used(self) -> None:
        await until(self.from_replica, "a page is read from the replica")

    async def readyz(self) -> tuple[int, dict[str, str]]:
        async with self.store.session.get(f"{self.store.url}/readyz") as answer:
            return answer.status, (await answer.json()).get("degraded", {})

    async def publish(self, title: str) -> int:
        (result,) = await self.store.publish(BOB, {"topic": "news", "body": title, "title": title})
        return int(result["seq"])


@contextlib.asynccontextmanager
async def running_replicas(standbys: int) -> AsyncIterator[Replicas]:
    folder = Path(tempfile.mkdtemp(prefix="replicas-", dir=run_folder()))
    folder.chmod(0o755)
    links = Link("service", Random(1)), Link("replication", Random(1))
    try:
        async with Replicas(*links, synchronous=False, standbys=standbys).running(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def of_store(url: str) -> str:
    """The store's database, where ``url`` names another, as an ordinary user of PostgreSQL."""
    return urlsplit(url)._replace(path="/notifyx_store", query="role=notifyx_store").geturl()


def admin(url: str) -> str:
    """The same for an administrator."""
    return of_store(url).replace("role=notifyx_store", "")


@contextlib.asynccontextmanager
async def reading(replicas: Replicas, replica_url: str = "") -> AsyncIterator[Reading]:
    """Run stores that read from the first standby, or at ``replica_url``, with a topic that Ann follows."""
    url = replica_url or of_store(replicas.standby_urls[0])
    settings = store_settings(of_store(replicas.url), read_replica_url=url)
    node = StoreNode(settings)
    async with running_store(settings, service=node) as store, running_store(settings) as peer:
        await store.ok("POST", "/topics", BOB, {"name": "news", "publishers": ["bob"]})
        await store.ok("POST", "/topics", BOB, {"name": "closing"})
        await store.ok("PUT", "/topics/news/subscription", ANN, {"email": "never"})
        connections = [await asyncpg.connect(admin(url)) for url in (replicas.url, replicas.standby_urls[0])]
        try:
            yield Reading(store, peer, node, *connections)
        finally:
            for connection in connections:
                connection.terminate()


async def test_pages_have_what_their_reader_was_shown_and_nothing_else(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_replica, "REPORTED_AFTER", 0.0)
    async with running_replicas(1) as replicas:
        async with reading(replicas) as it:
            await _all_that_a_reader_was_shown(it)
            await _the_standby_of_another_primary(it, replicas, database)
        await _wal_that_ends_within_a_record(replicas, monkeypatch)


async def _all_that_a_reader_was_shown(it: Reading) -> None:
    assert await it.publish("first") == 1
    await it.is_used()
    for path in (
        "/inbox", LOG, "/search?q=first", "/search?q=first&topic=news",
        "/published", "/threads", "/threads/bob",
    ):  # fmt: skip
        await _read_from_replica(it, path)
    await _own_writes_while_replay_is_paused(it)
    await it.is_used()
    await _what_the_primary_does_not_show_yet(it)
    await it.is_used()


async def _read_from_replica(it: Reading, path: str) -> None:
    before = it.count("notifyx_page_reads_total", source="replica")
    who = BOB if path == "/published" else ANN

    async def done() -> bool:
        page = await it.store.ok("GET", path, who)
        assert len(page["items"]) == (0 if path.startswith("/threads") else 1), path
        return it.count("notifyx_page_reads_total", source="replica") > before

    await until(done, f"{path} is read from the replica")


async def _own_writes_while_replay_is_paused(it: Reading) -> None:
    """Each request sees what was answered before it; nobody waits for the standby, and the store stays ready."""
    topic = (await it.store.ok("GET", "/topics/news", ANN))["id"]
    delivered: list[int] = []
    feed = asyncio.create_task(follow(it.peer, topic, delivered))
    await until(lambda: delivered == [1], "the feed of the other store delivers")
    await it.standby.execute("SELECT pg_wal_replay_pause()")
    for seq in (2, 3, 4):
        publishing = asyncio.create_task(it.publish(f"number {seq}"))
        await until(lambda: delivered[-1:] == [seq], "it is delivered")  # noqa: B023 - it runs in this round
        assert await it.seqs() == list(range(1, seq + 1))
        assert await publishing == seq
        assert (await it.store.ack(ANN, "news", up_to=seq - 1))["unread"] == 1
        inbox = await it.store.ok("GET", "/inbox", ANN)
        assert inbox["unread"]["news"] == 1
        assert [item["acked"] for item in inbox["items"] if item["topic"] == "news"] == [False] + [True] * (seq - 1)
        assert await it.seqs("/search?q=number") == list(range(seq, 1, -1))
    await it.store.ok("PATCH", "/topics/closing", BOB, {"visibility": "private"})
    status, _ = await it.store.call("GET", "/topics/closing/notifications", ANN)
    assert status == 404, "a right that has ended is not granted by an old row"
    assert it.fallbacks() >= 13
    assert it.count("notifyx_replica_used") == 0
    await until(lambda: it.count("notifyx_replica_lag_seconds") > 0, "the lag is known")
    await until(lambda: it.node.replica is not None and it.node.replica.why_unused(), "it is reported")
    status, degraded = await it.readyz()
    assert (status, degraded) == (200, {"read replica": "The read replica is not used. It is behind the primary."})
    feed.cancel()
    await asyncio.gather(feed, return_exceptions=True)
    await it.standby.execute("SELECT pg_wal_replay_resume()")
    await it.is_used()
    assert await it.readyz() == (200, {})
    assert await it.seqs() == [1, 2, 3, 4]


async def _what_the_primary_does_not_show_yet(it: Reading) -> None:
    """A commit that waits to be confirmed is on the standby before the primary shows it, and may yet be lost."""
    await _confirmed_by(it, "nobody")
    publishing = asyncio.create_task(it.publish("unconfirmed"))

    async def on_the_standby() -> bool:
        return bool(await it.standby.fetchval("SELECT max(seq) = 5 FROM notifications"))

    await until(on_the_standby, "the standby shows it")
    before = it.count("notifyx_replica_fallbacks_total", reason="unconfirmed")
    for _ in range(3):
        assert await it.seqs() == [1, 2, 3, 4]
        assert (await it.store.ok("GET", "/inbox", ANN))["unread"]["news"] == 1
    assert it.count("notifyx_replica_fallbacks_total", reason="unconfirmed") > before
    assert not publishing.done()
    await _confirmed_by(it, "")
    assert await publishing == 5
    assert await it.seqs() == [1, 2, 3, 4, 5]


async def _confirmed_by(it: Reading, names: str) -> None:
    await it.primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    await it.primary.execute("SELECT pg_reload_conf()")

    async def known() -> bool:
        return bool(await it.primary.fetchval("SHOW synchronous_standby_names") == names)

    await until(known, "the setting counts")


async def test_a_replica_that_is_lost_or_promoted_is_done_without_and_used_again() -> None:
    async with running_replicas(2) as replicas, reading(replicas, of_store(replicas.read_url)) as it:
        await it.publish("first")
        await it.is_used()

        before = it.fallbacks()
        replicas.kill_standbys()
        assert await it.publish("second") == 2
        for _ in range(3):
            assert await it.seqs() == [1, 2]
        assert it.fallbacks() == before + 3
        assert (await it.readyz())[0] == 200
        await replicas.start_standbys()
        await it.is_used()
        await replicas.fail_over(0.1)
        assert await until(lambda: _published(it, "third")) == 3
        assert await it.seqs() == [1, 2, 3]
        await it.is_used()
        assert await it.seqs() == [1, 2, 3]


async def _wal_that_ends_within_a_record(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL writes whole pages of its log out while nobody commits; no standby can replay the half of a record."""
    settings = store_settings(of_store(replicas.url), read_replica_url=of_store(replicas.standby_urls[0]))
    metrics = Metrics()
    async with Database(database_config(settings)) as database, Background(metrics) as background:
        it = ReadReplica(settings, database, SystemClock(), metrics)
        standby = await asyncpg.connect(admin(replicas.standby_urls[0]))
        written_out = 0
        write_out = PrimaryPosition.write_out

        async def counted(position: PrimaryPosition) -> None:
            nonlocal written_out
            written_out += 1
            await write_out(position)

        monkeypatch.setattr(PrimaryPosition, "write_out", counted)
        try:
            async with it.running(background), database.pool.acquire() as primary, primary.transaction():
                end = await primary.fetchval("SELECT pg_logical_emit_message(false, '', repeat('x', 20000))::text")

                async def has_all() -> bool:
                    return bool(await standby.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", end))

                await until(has_all, "the standby has all of it, though the transaction goes on")
                assert written_out, "whatever else would have ended it, after 15 seconds, was not waited for"
        finally:
            standby.terminate()


async def _published(it: Reading, title: str) -> int:
    with contextlib.suppress(AssertionError, aiohttp.ClientError):
        return await it.publish(title)
    return 0


async def _the_standby_of_another_primary(it: Reading, replicas: Replicas, database: str) -> None:
    """Its position may be further, as that of a standby is which a failover has left behind."""
    node = StoreNode(store_settings(database, read_replica_url=of_store(replicas.standby_urls[0])))
    async with running_store(node.settings, service=node) as store:
        own = await asyncpg.connect(database)
        async with asyncio.timeout(PATIENCE):
            while await _position(it.primary) <= await _position(own):
                await it.primary.execute("SELECT pg_logical_emit_message(true, 'more', repeat('x', 1000000))")
        await own.close()
        await store.ok("POST", "/topics", ANN, {"name": "own"})

        async def fallen_back() -> bool:
            await store.publish(ANN, {"topic": "own", "body": "here"})
            page = await store.ok("GET", "/topics/own/notifications", ANN)
            assert page["items"], "it is not the other platform's"
            value = node.metrics.registry.get_sample_value
            return bool(value("notifyx_replica_fallbacks_total", {"reason": "failover"}))

        await until(fallen_back, "the other platform is recognised")


async def _position(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint"))
