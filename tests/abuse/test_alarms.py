"""Storage or memory nearly used up: publishers are refused with a reason, and readers go on."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from notifyx_common.alarms import Alarms, MemoryLow, memory_used, watch_memory
from notifyx_common.background import Background
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.metrics import Metrics
from notifyx_gateway.upstream.store import Store
from notifyx_store.app import StoreNode
from notifyx_store.maintenance.storage import fullness
from support.clock import SetForward
from support.patience import PATIENCE
from support.store import TOKEN, StoreClient, running_store, store_settings, user

ANN = user("ann")

# PostgreSQL's own error, at the commit: the last moment at which a disk can turn out to be full.
_FULL_AT_COMMIT = """
CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE CONSTRAINT TRIGGER full_at_commit AFTER INSERT ON notifications DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION disk_is_full();
"""


async def reads_and_acks(store: StoreClient, last: int) -> None:
    """Everything but a publish still works."""
    assert (await store.join(ANN, "news"))["last_seq"] == last
    page = await store.ok("GET", "/topics/news/notifications", ANN, params={"limit": "10"})
    assert [item["seq"] for item in page["items"]] == list(range(1, last + 1))
    assert (await store.ack(ANN, "news", up_to=1))["acked_up_to"] == 1


def batch(*items: dict[str, Any], batch_id: str = "") -> dict[str, Any]:
    return {
        "batch_id": batch_id or uuid.uuid4().hex,
        "principals": [ANN.model_dump(mode="json")],
        "items": [{"p": 0, "topic": "news", **item} for item in items],
    }


async def test_a_disk_that_is_full_at_the_commit_refuses_and_accepts_nothing(
    store_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetForward()
    node = StoreNode(store_settings(store_database), clock=clock)
    monkeypatch.setattr(node.alarms, "trip", partial(node.alarms.trip, seconds=10 * PATIENCE))
    async with running_store(node.settings, service=node) as store:
        await store.ok("POST", "/topics", ANN, {"name": "news"})
        first = batch({"title": "a", "key": "k"}, batch_id="b" * 32)
        accepted = (await store.ok("POST", "/publish", None, first))["results"]
        connection = await asyncpg.connect(store_database)
        try:
            await connection.execute(_FULL_AT_COMMIT)
            [refused, repeated, wrong] = await store.publish(
                ANN,
                {"topic": "news", "title": "b"},
                {"topic": "news", "title": "a", "key": "k"},
                {"topic": "news"},
            )
            assert (refused["status"], refused["code"]) == (503, "storage_full")
            assert refused["retry_after"] > 0
            assert repeated == {**accepted[0], "duplicate": True}, "what was accepted earlier is answered"
            assert wrong["code"] == "empty_notification"
            assert node.alarms.is_on("storage")
            assert (await store.ok("POST", "/publish", None, first))["results"] == accepted
            await reads_and_acks(store, 1)
            assert not await node.readiness.failures(), "it is ready: for its readers"
            await connection.execute("DROP TRIGGER full_at_commit ON notifications")
        finally:
            await connection.close()
        assert (await store.publish(ANN, {"topic": "news", "title": "d"}))[0]["code"] == "storage_full", "for a while"
        clock.ahead += 10 * PATIENCE
        assert (await store.publish(ANN, {"topic": "news", "title": "e"}))[0]["seq"] == 2
        assert not node.alarms.is_on("storage")


async def test_a_volume_that_is_nearly_full_refuses_before_it_is_full(store_database: str) -> None:
    node = StoreNode(store_settings(store_database, storage_capacity="1MiB"))
    async with running_store(node.settings, service=node) as store:
        await store.ok("POST", "/topics", ANN, {"name": "news"})
        async with asyncio.timeout(PATIENCE):
            while not node.alarms.is_on("storage"):
                await asyncio.sleep(0.01)
        [refused] = await store.publish(ANN, {"topic": "news", "title": "a"})
        assert refused["code"] == "storage_full"
        assert (await store.join(ANN, "news"))["last_seq"] == 0
        assert not await node.readiness.failures()
        assert node.metrics.registry.get_sample_value("notifyx_alarm", {"resource": "storage"}) == 1


async def test_a_store_short_of_memory_leaves_a_publish_to_the_others(store_database: str) -> None:
    node = StoreNode(store_settings(store_database))
    async with running_store(node.settings, service=node) as store:
        await store.ok("POST", "/topics", ANN, {"name": "news"})
        first = batch({"title": "a", "key": "k"}, batch_id="b" * 32)
        accepted = (await store.ok("POST", "/publish", None, first))["results"]
        node.alarms.measure("memory", 1.0, 0.9)
        status, refused = await store.call("POST", "/publish", None, batch({"title": "b"}, {"title": ""}))
        assert (status, refused["code"]) == (503, "memory_low"), "of the node, and not of each item"
        assert (await store.ok("POST", "/publish", None, first))["results"] == accepted
        [repeated, late] = await store.publish(
            ANN, {"topic": "news", "title": "a", "key": "k"}, {"topic": "news", "title": "b"}
        )
        assert repeated == {**accepted[0], "duplicate": True}
        assert late["code"] == "memory_low"
        await reads_and_acks(store, 1)


def test_free_space_is_measured_where_the_volume_can_be_seen(tmp_path: Path) -> None:
    settings = store_settings("postgresql://unused/unused", storage_path=tmp_path, storage_min_free="1GiB")
    assert fullness(settings, used=0, free=1 << 29) == 2.0
    assert fullness(settings, used=0, free=1 << 32) == 0.25
    settings = store_settings("postgresql://unused/unused", storage_capacity="10GiB", storage_high=0.5)
    assert fullness(settings, used=6 << 30, free=None) == 1.2


async def test_a_gateway_short_of_memory_takes_no_publish_and_no_socket(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 100\n")
    metrics, clock = Metrics(), SystemClock()
    background = Background(metrics)
    alarms = Alarms(metrics, clock.monotonic)

    async def with_memory(current: int, *, on: bool) -> None:
        (tmp_path / "memory.current").write_text(f"{current}\n")
        async with asyncio.timeout(PATIENCE):
            while alarms.is_on("memory") is not on:
                await asyncio.sleep(0.01)

    discovery = StaticDiscovery()
    async with (
        watch_memory(alarms, 0.9, background, cgroup=tmp_path, interval=0.01),
        ServiceClient("store", discovery=discovery, token=TOKEN, metrics=metrics, clock=clock) as client,
        Store(client, clock=clock, metrics=metrics, background=background, alarms=alarms) as store,
    ):
        await with_memory(1010, on=True)
        with pytest.raises(MemoryLow) as refusal:
            store.enqueue_publish(ANN, "news", KeyedNotification(title="a"))
        assert refusal.value.http_status == 503
        assert refusal.value.retry_after
        (tmp_path / "memory.current").write_text("950\n")  # 85 % in use: below the mark, and not well below
        await asyncio.sleep(0.05)
        assert alarms.is_on("memory")
        await with_memory(800, on=False)
        store.enqueue_publish(ANN, "news", KeyedNotification(title="a")).cancel()


def test_without_a_limit_nothing_is_short(tmp_path: Path) -> None:
    assert memory_used(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("950\n")
    (tmp_path / "memory.stat").write_text("anon 1\n")
    assert memory_used(tmp_path) is None
