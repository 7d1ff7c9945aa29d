"""The background work as it runs in a replica: woken, on its own, and through the database's absence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import cast
from uuid import uuid4

import asyncpg
import pytest

from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.database import DRIVER_ERRORS
from notifyx_common.metrics import Metrics
from notifyx_local.postgres import Cluster
from notifyx_store.base.context import StoreContext
from notifyx_store.maintenance import loops
from notifyx_store.maintenance.ledger import TopicLedger, all_topic_ledgers
from notifyx_store.maintenance.loops import MAX_HINTED_TOPICS, Maintenance
from support.patience import PATIENCE
from support.store_database import new_topic
from support.store_people import HandClock

LOST = (*DRIVER_ERRORS, OSError)


async def until(true: Callable[[], Awaitable[bool]], what: str, deadline: float = PATIENCE) -> None:
    """Return once it is true; fail after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not await true():
        assert time.monotonic() < end, f"not in {deadline} s: {what}"
        await asyncio.sleep(0.02)


def sample(context: StoreContext, name: str, **labels: str) -> float | None:
    return context.metrics.registry.get_sample_value(name, labels)


async def test_everything_is_done_without_being_asked(live: StoreContext) -> None:
    topic = await new_topic(live.pool)
    await topic.subscribe("ann", "every")
    now = live.clock.now()
    async with Maintenance(live, Background(Metrics())):
        await topic.publish(4, at=now)

        async def mailed() -> bool:
            return len(await topic.outbox()) == 4

        await until(mailed, "in the outbox")
        await live.pool.execute("UPDATE topics SET retention_max_count = 3")
        await topic.publish(1, at=now, expires_at=now)

        async def removed() -> bool:
            return await topic.seqs() == [3, 4]

        await until(removed, "removed by count and by expiry")

        async def counted() -> bool:
            return sample(live, "notifyx_outbox_emails", state="pending") == 4

        await until(counted, "the gauges say so")
    assert sample(live, "notifyx_expired_total", cause="expires_at") == 1
    assert sample(live, "notifyx_expired_total", cause="retention") == 2
    assert sample(live, "notifyx_ledger_imbalance", ledger="notifications") == 0
    assert sample(live, "notifyx_ledger_imbalance", ledger="email") == 0


async def test_a_wake_up_fills_the_outbox_without_a_look_at_all_topics(live: StoreContext) -> None:
    woken, unheard = await new_topic(live.pool), await new_topic(live.pool)
    for topic in (woken, unheard):
        await topic.subscribe("ann", "every")
    maintenance = Maintenance(live, Background(Metrics()))
    await maintenance.fill_outbox()
    for topic in (woken, unheard):
        await topic.publish()
    maintenance.wake([woken.id])
    assert await maintenance.fill_outbox() > 0
    assert (len(await woken.outbox()), len(await unheard.outbox())) == (1, 0)
    # More wake-ups than are kept, or one that names nothing, mean a look at all of them.
    maintenance.wake()
    await maintenance.fill_outbox()
    assert len(await unheard.outbox()) == 1


async def test_wake_ups_are_bounded(live: StoreContext) -> None:
    topics = [await new_topic(live.pool) for _ in range(2)]
    for topic in topics:
        await topic.subscribe("ann", "every")
    maintenance = Maintenance(live, Background(Metrics()))
    await maintenance.fill_outbox()
    await topics[0].publish()
    maintenance.wake(uuid4() for _ in range(MAX_HINTED_TOPICS + 1))
    await maintenance.fill_outbox()
    assert len(await topics[0].outbox()) == 1


async def test_an_imbalance_is_exported(live: StoreContext) -> None:
    topic = await new_topic(live.pool)
    await topic.subscribe("ann")
    await topic.publish(2)
    await live.pool.execute("UPDATE subscriptions SET acked_total = 1")
    await live.pool.execute("INSERT INTO outbox_books (topic_id, due) VALUES ($1, 1)", topic.id)
    await Maintenance(live, Background(Metrics())).check_ledger()
    assert sample(live, "notifyx_ledger_imbalance", ledger="notifications") == 1
    assert sample(live, "notifyx_ledger_imbalance", ledger="email") == 1


async def test_a_long_log_is_counted_less_often_and_emails_are_not(
    live: StoreContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, counted = HandClock(), 0

    async def slowly(connection: asyncpg.Connection) -> list[TopicLedger]:
        nonlocal counted
        counted += 1
        clock.time += timedelta(seconds=10)
        return await all_topic_ledgers(connection)

    monkeypatch.setattr(loops, "all_topic_ledgers", slowly)
    maintenance = Maintenance(replace(live, clock=clock), Background(Metrics()))
    await maintenance.check_ledger()
    await (await new_topic(live.pool)).subscribe("ann")
    await live.pool.execute("UPDATE subscriptions SET acked_total = 1")
    await live.pool.execute("INSERT INTO outbox_books (topic_id, due) SELECT id, 1 FROM topics")
    clock.time += timedelta(seconds=189)
    await maintenance.check_ledger()
    assert counted == 1, "a twentieth of the time: 200 s after it began"
    assert sample(live, "notifyx_ledger_imbalance", ledger="notifications") == 0
    assert sample(live, "notifyx_ledger_imbalance", ledger="email") == 1
    clock.time += timedelta(seconds=1)
    await maintenance.check_ledger()
    assert counted == 2
    assert sample(live, "notifyx_ledger_imbalance", ledger="notifications") == 1


async def test_it_goes_on_when_the_database_comes_back(live: StoreContext, postgres: Cluster) -> None:
    topic = await new_topic(live.pool)
    await topic.subscribe("ann", "every")
    name = await live.pool.fetchval("SELECT current_database()")
    admin = await asyncpg.connect(postgres.dsn())
    try:
        async with Maintenance(live, Background(Metrics())):
            await topic.publish(at=live.clock.now())

            async def mailed() -> bool:
                return len(await topic.outbox()) == 1

            await until(mailed, "it works to begin with")
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)

            async def cut_off() -> bool:
                try:
                    await topic.publish()
                except LOST:
                    return bool(live.pool.get_size() == 0)
                return False

            await until(cut_off, "no connection is left, neither to people nor to the background work")
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

            async def published() -> bool:
                try:
                    at = live.clock.now()
                    await topic.publish(at=at, expires_at=at + timedelta(milliseconds=1))
                except LOST:
                    return False
                return True

            await until(published, "the pool has new connections")

            async def removed() -> bool:
                return await topic.seqs() == [1]

            await until(removed, "and retention continues")
    finally:
        await admin.close()


async def test_a_defect_ends_the_service_instead_of_going_unnoticed(live: StoreContext) -> None:
    await live.pool.execute("ALTER TABLE outbox_books RENAME TO gone")
    # What the database says is reported and tried again: another replica may be migrating.
    async with Maintenance(live, Background(Metrics())), asyncio.timeout(PATIENCE):
        await asyncio.sleep(0.5)
    no_clock = cast("SystemClock", None)
    broken = StoreContext(live.settings, live.database, no_clock, live.metrics, live.security)
    background = Background(Metrics())
    async with Maintenance(broken, background), asyncio.timeout(PATIENCE):
        while background.fault is None:
            await asyncio.sleep(0)
    assert isinstance(background.fault.error, AttributeError)
