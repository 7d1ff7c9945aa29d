"""Retention and expiry on the real database, beside people who acknowledge at the same time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg

from notifyx_store.feed import queries as feed
from notifyx_store.log import history
from notifyx_store.log.history_pages import LOG_PAGES_QUERY
from notifyx_store.maintenance import retention
from notifyx_store.maintenance.cleanup import RecordTtls, delete_old_records
from notifyx_store.maintenance.ledger import email_ledger, topic_ledgers
from notifyx_store.maintenance.retention import (
    Cause,
    RemovedBatch,
    remove_batch,
    topics_over_retention,
    topics_past_expiry,
)
from support.patience import PATIENCE
from support.store_database import NOW, Topic, new_topic

FILL = """
INSERT INTO notifications (topic_id, seq, payload, publisher_id, published_at)
SELECT id, seq, '{}', 'publisher', $3 FROM unnest($1::uuid[]) AS topics(id), generate_series(1, $2::bigint) AS seq
"""


async def explain(connection: asyncpg.Connection, query: str, *values: Any, options: str = "COSTS") -> list[str]:
    return [row[0] for row in await connection.fetch(f"EXPLAIN ({options}) {query}", *values)]


async def buffers(connection: asyncpg.Connection, query: str, *values: Any) -> int:
    """Pages of tables and indexes that a statement reads, once others before it have seen what is gone."""
    for _ in range(2):
        [plan] = await explain(connection, query, *values, options="ANALYZE, BUFFERS, FORMAT JSON")
    found = json.loads(plan)[0]["Plan"]
    return int(found["Shared Hit Blocks"] + found["Shared Read Blocks"])


async def remove(topic: Topic, cause: Cause, *, seconds: float = 0, batch: int = 1000) -> RemovedBatch:
    async with topic.db.acquire() as connection:
        return await remove_batch(connection, topic.id, cause, NOW + timedelta(seconds=seconds), batch=batch)


async def balanced(topic: Topic) -> bool:
    async with topic.db.acquire() as connection:
        return not any(ledger.unbalanced for ledger in await topic_ledgers(connection, [topic.id]))


async def pruned(topic: Topic) -> int:
    seq: int = await topic.db.fetchval("SELECT pruned_seq FROM topics WHERE id = $1", topic.id)
    return seq


async def test_retention_removes_the_oldest_in_bounded_batches(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, max_count=4)
    await topic.subscribe("ann")
    await topic.publish(11)
    await topic.ack_seqs("ann", [2, 5, 9])
    async with pool.acquire() as connection:
        assert await topics_over_retention(connection, NOW) == [topic.id]
    assert await remove(topic, "retention", batch=5) == RemovedBatch(5, more=True)
    assert (await topic.seqs(), await pruned(topic)) == ([6, 7, 8, 9, 10, 11], 5)
    assert await remove(topic, "retention", batch=5) == RemovedBatch(2)
    assert (await topic.seqs(), await pruned(topic)) == ([8, 9, 10, 11], 7)
    assert await remove(topic, "retention") == RemovedBatch()
    async with pool.acquire() as connection:
        assert await topics_over_retention(connection, NOW) == []
        [ledger] = await topic_ledgers(connection, [topic.id])
    assert ledger.row.model_dump() == {
        "topic": topic.name, "due": 11, "acked": 3, "pending": 3, "expired": 5, "withdrawn": 0,
    }  # fmt: skip
    assert ledger.unbalanced == 0
    assert await pool.fetch("SELECT seq FROM ack_exceptions") == [(9,)]


async def test_retention_by_age_stops_at_the_first_that_is_young_enough(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, max_age=timedelta(seconds=100))
    for second in (0, 10, 20):
        await topic.publish(2, at=NOW + timedelta(seconds=second))
    assert await remove(topic, "retention", seconds=100) == RemovedBatch()
    assert await remove(topic, "retention", seconds=111) == RemovedBatch(4)
    assert (await topic.seqs(), await pruned(topic)) == ([5, 6], 4)
    assert await remove(topic, "retention", seconds=9999) == RemovedBatch(2)
    assert (await topic.seqs(), await pruned(topic)) == ([], 6)


async def test_expiry_removes_single_ones_and_leaves_the_prefix_alone(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann")
    await topic.publish(2)
    await topic.publish(2, expires_at=NOW + timedelta(seconds=5))
    await topic.publish(1)
    await topic.ack_seqs("ann", [4])
    async with pool.acquire() as connection:
        assert await topics_past_expiry(connection, NOW + timedelta(seconds=4)) == []
        assert await topics_past_expiry(connection, NOW + timedelta(seconds=5)) == [topic.id]
    assert await remove(topic, "expires_at", seconds=5) == RemovedBatch(2)
    assert (await topic.seqs(), await pruned(topic)) == ([1, 2, 5], 0)
    row = await pool.fetchrow("SELECT acked_total, expired_total FROM subscriptions")
    assert tuple(row) == (1, 1)
    assert await balanced(topic)


async def test_a_busy_topic_is_not_waited_for_long_and_nothing_is_half_done(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, max_count=1)
    await topic.publish(3)
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended($1::uuid::text, 0))", topic.id)
        try:
            async with asyncio.timeout(PATIENCE):
                result = await remove(topic, "retention")
        except asyncpg.LockNotAvailableError:
            result = None
    assert result is None
    assert await topic.seqs() == [1, 2, 3]
    assert await remove(topic, "retention") == RemovedBatch(2)


async def test_replicas_share_topics_instead_of_queueing_up(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, max_count=1)
    await topic.publish(3)
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sweep:' || $1::uuid::text, 0))", topic.id)
        assert await remove(topic, "retention") == RemovedBatch()
    assert await topic.seqs() == [1, 2, 3]


async def test_acknowledgements_and_publishes_race_with_retention_and_the_ledger_stays_true(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, max_count=10)
    users = [f"user-{n}" for n in range(4)]
    for user in users:
        await topic.subscribe(user)
    done = asyncio.Event()

    async def publishing() -> None:
        for burst in range(60):
            await topic.publish(3, expires_at=NOW if burst % 3 == 0 else None)
        done.set()

    async def acknowledging(user: str, singly: bool) -> None:
        seen = 0
        while not done.is_set():
            seen += 3
            await (topic.ack_seqs(user, [seen, seen + 5]) if singly else topic.ack_up_to(user, seen))

    async def removing(cause: Cause) -> int:
        removed = 0
        while not done.is_set():
            try:
                removed += (await remove(topic, cause, batch=7)).removed
            except asyncpg.LockNotAvailableError:
                continue
        return removed

    async def auditing() -> int:
        checks = 0
        while not done.is_set():
            assert await balanced(topic)
            checks += 1
        return checks

    async with asyncio.TaskGroup() as group:
        for n, user in enumerate(users):
            group.create_task(acknowledging(user, singly=n % 2 == 0))
        by_count = group.create_task(removing("retention"))
        by_expiry = group.create_task(removing("expires_at"))
        checks = group.create_task(auditing())
        group.create_task(publishing())
    assert checks.result()
    assert by_count.result() + by_expiry.result() == 180 - len(await topic.seqs())
    assert await balanced(topic)


async def test_pruning_forgets_rows_and_keeps_totals(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    subscription = await topic.subscribe("ann", "every")
    await topic.publish(6)
    states = ["sent", "sent", "fenced", "dead", "pending", "leased"]
    for seq, state in enumerate(states, start=1):
        await pool.execute(
            "INSERT INTO outbox (id, subscription_id, topic_id, user_id, mode, from_seq, to_seq, state, due_at,"
            " attempts, created_at) VALUES (gen_random_uuid(), $1, $2, 'ann', 'every', $3, $3, $4, $5, 0, $5)",
            subscription, topic.id, seq, state, NOW,
        )  # fmt: skip
    await pool.execute("INSERT INTO outbox_books (topic_id, due) VALUES ($1, 6)", topic.id)
    for age in (0, 47, 49):
        await pool.execute(
            "INSERT INTO idempotency (publisher, topic_id, key, body_hash, seq, result, created_at)"
            " VALUES ('p', $1, $2, 'x', 1, '{}', $3)",
            topic.id, f"key-{age}", NOW - timedelta(hours=age),
        )  # fmt: skip
    for minutes in (0, 59, 61):
        await pool.execute(
            "INSERT INTO publish_batches (batch_id, results, created_at) VALUES ($1, '[]', $2)",
            f"batch-{minutes}", NOW - timedelta(minutes=minutes),
        )  # fmt: skip
    async with pool.acquire() as connection:
        before = await email_ledger(connection, NOW)
        assert not await delete_old_records(connection, RecordTtls(), NOW)
        assert await delete_old_records(
            connection, RecordTtls(emails=timedelta(0)), NOW + timedelta(seconds=1), batch=3
        )
        assert not await delete_old_records(
            connection, RecordTtls(emails=timedelta(0)), NOW + timedelta(seconds=1), batch=3
        )
        after = await email_ledger(connection, NOW)
    assert before.ledger == after.ledger
    assert after.balanced
    assert after.ledger.model_dump() == {"due": 6, "sent": 2, "fenced": 1, "pending": 2, "dead": 1}
    assert await topic.outbox("state") == [("pending",), ("leased",)]
    assert await pool.fetch("SELECT key FROM idempotency ORDER BY key") == [("key-0",), ("key-47",)]
    assert await pool.fetch("SELECT batch_id FROM publish_batches ORDER BY batch_id") == [("batch-0",), ("batch-59",)]


async def test_no_plan_of_postgresql_makes_a_batch_larger(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    subscription = await topic.subscribe("ann", "every")
    for seq in range(1, await topic.publish(8) + 1):
        await pool.execute(
            "INSERT INTO outbox (id, subscription_id, topic_id, user_id, mode, from_seq, to_seq, state, due_at,"
            " attempts, created_at) VALUES (gen_random_uuid(), $1, $2, 'ann', 'every', $3, $3, 'sent', $4, 0, $4)",
            subscription, topic.id, seq, NOW,
        )  # fmt: skip
    async with pool.acquire() as connection, connection.transaction():
        # What is left are nested loops, which may execute a subquery for each row.
        for step in ("hashjoin", "mergejoin", "hashagg", "material", "sort"):
            await connection.execute(f"SET LOCAL enable_{step} = off")
        ttls = RecordTtls(emails=timedelta(0))
        assert await delete_old_records(connection, ttls, NOW + timedelta(seconds=1), batch=3)
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 5


async def test_an_imbalance_is_seen_even_where_sums_hide_it(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann")
    await topic.subscribe("bob")
    await topic.publish(3)
    await pool.execute("UPDATE subscriptions SET acked_total = acked_total + 1 WHERE user_id = 'ann'")
    await pool.execute("UPDATE subscriptions SET expired_total = expired_total - 1 WHERE user_id = 'bob'")
    async with pool.acquire() as connection:
        [ledger] = await topic_ledgers(connection, [topic.id])
    row = ledger.row
    assert row.due == row.acked + row.pending + row.expired + row.withdrawn
    assert ledger.unbalanced == 2
    await pool.execute("INSERT INTO outbox_books (topic_id, due) VALUES ($1, 1)", topic.id)
    async with pool.acquire() as connection:
        assert not (await email_ledger(connection, NOW)).balanced


async def test_a_batch_reads_neither_what_is_gone_nor_the_rest_of_a_long_log(fresh_pool: asyncpg.Pool) -> None:
    """Removed rows stay in the indexes until they are vacuumed, which may be millions of rows later."""
    await fresh_pool.execute("ALTER TABLE notifications SET (autovacuum_enabled = false)")
    topic = await new_topic(fresh_pool, max_count=100)
    await fresh_pool.execute("UPDATE topics SET last_seq = 30000 WHERE id = $1", topic.id)
    await fresh_pool.execute(FILL, [topic.id], 30_000, NOW)
    await fresh_pool.execute(FILL, [(await new_topic(fresh_pool)).id for _ in range(100)], 5, NOW)
    await fresh_pool.execute("ANALYZE notifications")
    async with fresh_pool.acquire() as connection:
        finding = (retention._PREFIX, topic.id, NOW, 100)
        before = await buffers(connection, *finding)
        for _ in range(5):
            assert await remove_batch(connection, topic.id, "retention", NOW) == RemovedBatch(2_000, more=True)
        assert await buffers(connection, *finding) <= before + 5
        removing = (topic.id, list(range(10_001, 12_001)))
        plan = "\n".join(await explain(connection, retention._REMOVE_PREFIX, *removing))
        assert "notifications_pkey" in plan
        assert "notifications_by_time" not in plan


async def test_a_page_reads_nothing_of_what_retention_has_removed(fresh_pool: asyncpg.Pool) -> None:
    await fresh_pool.execute("ALTER TABLE notifications SET (autovacuum_enabled = false)")
    old, young = [await new_topic(fresh_pool, max_count=count) for count in (60, 100_000)]
    await old.publish(4_060)
    await young.publish(60)
    await fresh_pool.execute("ANALYZE notifications, topics")
    async with fresh_pool.acquire() as connection:
        while (await remove_batch(connection, old.id, "retention", NOW)).removed:
            pass
        wanted: dict[str, Callable[[Topic], tuple[Any, ...]]] = {
            history._FORWARD: lambda topic: (topic.id, 0, 2**53, 20, 1 << 20),
            history._BACKWARD: lambda topic: (topic.id, 0, 2**53, 20, 1 << 20),
            LOG_PAGES_QUERY: lambda topic: ([topic.name], [0], [2**53], [False], [20], 1 << 20, ["ann"], [""]),
            feed._ROWS: lambda topic: ([topic.id], [0], 20, 1 << 20),
        }
        for query, values in wanted.items():
            small, large = [await buffers(connection, query, *values(topic)) for topic in (young, old)]
            assert large <= small + 5, query
            assert small < 60, "what each page has once is not read for each of its rows"


async def test_the_log_is_vacuumed_after_a_twentieth_of_it(pool: asyncpg.Pool) -> None:
    tables = "SELECT relname FROM pg_class WHERE 'autovacuum_vacuum_scale_factor=0.05' = ANY(reloptions) ORDER BY 1"
    assert [row["relname"] for row in await pool.fetch(tables)] == ["notifications", "search_ranges"]
