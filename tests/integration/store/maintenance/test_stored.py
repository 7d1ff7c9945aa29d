"""What accounts have stored, estimated on the real database."""

from __future__ import annotations

import random
import secrets
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from notifyx_store.base.context import StoreContext
from notifyx_store.log.full_accounts import FullAccounts
from notifyx_store.maintenance import stored
from notifyx_store.maintenance.purge import purge_piece
from notifyx_store.maintenance.retention import remove_batch
from notifyx_store.maintenance.stored import StoredQuota, charged_spans
from notifyx_store.maintenance.stored_rules import Span
from notifyx_store.restored import begin_after_restore
from support.patience import PATIENCE
from support.store_database import NOW, Topic, new_topic


@pytest.fixture(autouse=True)
def _no_step_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "STEP_SECONDS", PATIENCE)


async def topic_of(pool: asyncpg.Pool, account: str | None, **more: Any) -> Topic:
    topic = await new_topic(pool)
    columns = {"created_by": account, **more}
    changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    await pool.execute(f"UPDATE topics SET {changes} WHERE id = $1", topic.id, *columns.values())
    return topic


def text(size: int) -> str:
    """What PostgreSQL cannot compress."""
    return secrets.token_urlsafe(size)[:size]


def quota_of(live: StoreContext, quota: int) -> tuple[StoredQuota, FullAccounts]:
    settings = live.settings.model_copy(update={"max_stored_bytes": quota})
    context = StoreContext(settings, live.database, live.clock, live.metrics, live.security)
    full = FullAccounts()
    return StoredQuota(context, full, random.Random(1)), full


async def test_whoever_stores_too_much_is_known_until_it_is_removed(live: StoreContext) -> None:
    pool = live.pool
    one, two = await topic_of(pool, "ann"), await topic_of(pool, "ann")
    await one.publish(30, body=text(5_000))
    await two.publish(30, body=text(5_000))
    await (await topic_of(pool, "bob")).publish(30, body=text(5_000))
    watch, full = quota_of(live, 500_000)
    assert await watch.step() >= live.settings.stored_every
    assert full.ids == {"ann"}, "of 600 KB with their words"
    gauge = live.metrics.registry.get_sample_value
    assert gauge("notifyx_accounts_storage_full") == 1
    await pool.execute("UPDATE topics SET retention_max_count = 10 WHERE id = $1", one.id)
    async with pool.acquire() as connection:
        assert (await remove_batch(connection, one.id, "retention", NOW)).removed == 20
    await watch.step()
    assert full.ids == set()
    assert gauge("notifyx_accounts_storage_full") == 0


async def test_charged_is_who_created_a_topic_of_its_own(live: StoreContext) -> None:
    pool = live.pool
    for columns in (
        {"account": None},
        {"account": None, "kind": "inbox", "name": "user:ann"},
        {"account": "ann", "resource": "team/alerts"},
    ):
        await (await topic_of(pool, **columns)).publish(50, body=text(5_000))
    await (await topic_of(pool, "ann")).publish(1, body="few")
    watch, full = quota_of(live, 100_000)
    await watch.step()
    assert full.ids == set()


async def test_a_deleted_topic_counts_until_it_is_purged(live: StoreContext) -> None:
    topic = await topic_of(live.pool, "ann", kind="deleted")
    await topic.publish(50, body=text(5_000))
    watch, full = quota_of(live, 300_000)
    await watch.step()
    assert full.ids == {"ann"}
    async with live.pool.acquire() as connection:
        assert await purge_piece(connection, 30)
        await watch.step()
        assert full.ids == set(), "as soon as enough of it is removed"
        while await purge_piece(connection, 30):
            pass
        assert await charged_spans(connection, ["ann"]) == {}
    await watch.step()
    assert full.ids == set()


async def test_what_a_restore_passed_over_is_not_stored(live: StoreContext) -> None:
    topic = await topic_of(live.pool, "ann")
    await topic.publish(20, body=text(5_000))
    async with live.pool.acquire() as connection:
        async with connection.transaction():
            passed = await begin_after_restore(connection, NOW, NOW - timedelta(hours=1))
        await topic.publish(20, body=text(5_000))
        spans = await charged_spans(connection, ["ann"])
    assert spans == {"ann": [Span(topic.id, 1, 20), Span(topic.id, passed + 1, passed + 20)]}
    for quota, over in ((380_000, True), (450_000, False)):
        watch, full = quota_of(live, quota)
        await watch.step()
        assert full.ids == ({"ann"} if over else set())


async def test_holes_in_a_log_hide_nothing(live: StoreContext) -> None:
    """Small notifications behind many that have expired are not drawn more often than large ones side by side."""
    topic = await topic_of(live.pool, "ann")
    await topic.publish(40, body=text(10_000))
    for _ in range(10):
        await topic.publish(400, expires_at=NOW)
        await topic.publish(1)
    async with live.pool.acquire() as connection:
        while (await remove_batch(connection, topic.id, "expires_at", NOW)).removed:
            pass
    assert await live.pool.fetchval("SELECT last_seq - removed_total FROM topics") == 50
    watch, full = quota_of(live, 600_000)
    await watch.step()
    assert full.ids == {"ann"}, "of 800 KB"


async def test_accounts_take_turns(live: StoreContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "GROUP", 2)
    names = [f"a{number}" for number in range(5)]
    for name in names:
        await (await topic_of(live.pool, name)).publish(20, body=text(5_000))
    watch, full = quota_of(live, 100_000)
    known = []
    for _ in range(3):
        await watch.step()
        known.append(len(full.ids))
    assert known == [2, 4, 5]
    await live.pool.execute("UPDATE topics SET created_by = NULL WHERE created_by = 'a0'")
    await watch.step()
    assert full.ids == {*names[1:]}, "an account that is gone is forgotten at once"


async def test_a_sample_looks_up_rows_by_their_key_alone(fresh_pool: asyncpg.Pool) -> None:
    topic = await topic_of(fresh_pool, "ann")
    await topic.publish(2_000)
    await fresh_pool.execute("ANALYZE notifications")
    places = [topic.id] * 1_000, list(range(1, 1_001))
    plan = "\n".join(row[0] for row in await fresh_pool.fetch(f"EXPLAIN {stored.SAMPLE}", *places))
    assert "Index Scan using notifications_pkey" in plan
    assert "Seq Scan" not in plan


async def test_a_step_that_has_no_more_time_goes_on_in_the_next(
    live: StoreContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "STEP_SECONDS", -1.0)
    for name in ("ann", "bob"):
        await (await topic_of(live.pool, name)).publish(20, body=text(5_000))
    watch, full = quota_of(live, 100_000)
    await watch.step()
    assert len(full.ids) == 1
    await watch.step()
    assert full.ids == {"ann", "bob"}


async def test_the_topics_of_a_user_are_found_without_reading_all_topics(fresh_pool: asyncpg.Pool) -> None:
    await fresh_pool.execute(
        "INSERT INTO topics (id, name, created_by, created_at, updated_at)"
        " SELECT gen_random_uuid(), 't' || n, 'user' || n % 500, $1, $1 FROM generate_series(1, 2000) AS n",
        NOW,
    )
    await fresh_pool.execute("ANALYZE topics")
    counted = "SELECT count(*) FROM topics WHERE created_by = 'user7' AND kind = 'topic'"
    for query, values in ((counted, ()), (stored.TOPICS, (["user7"], 10))):
        plan = "\n".join(row[0] for row in await fresh_pool.fetch(f"EXPLAIN {query}", *values))
        assert "topics_created_by" in plan
        assert "Seq Scan on topics" not in plan
