"""Transactions about the same emails and people lock rows in one order: none is the victim of a deadlock.

Each test makes the interleaving certain: a third connection holds the row that both want, the first transaction to
wait for it gets it first, and the second has locked by then what an inverse order would wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult
from notifyx_store.mail import addresses, outbox
from notifyx_store.mail.outbox_fill import fill_outbox
from notifyx_store.mail.results import record_results
from notifyx_store.maintenance.cleanup import RecordTtls, delete_old_records
from notifyx_store.maintenance.ledger import email_ledger
from notifyx_store.readers import removal
from support.patience import PATIENCE, until
from support.store_database import CONFIG, NOW, Topic, new_topic

POLICY = CONFIG.policy
REFUSED = (UUID(int=1), "550 5.1.1 unknown")

Work = Callable[[asyncpg.Connection], Awaitable[object]]


async def in_turn(pool: asyncpg.Pool, row: str, *works: Work) -> None:
    """Run ``works`` at once: each starts when those before it wait for a lock, of ``row`` or one another, or are done.

    ``row`` is a query that locks what they want. Any error of theirs is raised.
    """
    async with pool.acquire() as holder, asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        lock = holder.transaction()
        await lock.start()
        await holder.execute(row)
        for work in works:
            async with pool.acquire() as observer:
                begun = asyncio.Event()
                running = tasks.create_task(_run(pool, work, begun))
                await begun.wait()
                await until(partial(_stopped, running, observer), f"{work} waits")
        await lock.rollback()


async def _run(pool: asyncpg.Pool, work: Work, begun: asyncio.Event) -> None:
    async with pool.acquire() as connection:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(str(connection.get_server_pid()))
        begun.set()
        await work(connection)


async def _stopped(task: asyncio.Task[None], observer: asyncpg.Connection) -> bool:
    """Return whether the task is done, or its connection, of which it has the name, waits for a lock."""
    query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
    return task.done() or bool(await observer.fetchval(query, int(task.get_name())))


async def fill(topic: Topic) -> None:
    async with topic.db.acquire() as connection:
        await fill_outbox(connection, [topic.id], NOW)


async def lease(connection: asyncpg.Connection, after: timedelta = timedelta()) -> list[OutboxMail]:
    return await outbox.lease_due(connection, CONFIG, owner="me", limit=50, lease=60, now=NOW + after)


def report(mails: dict[str, OutboxMail], results: dict[str, str], after: timedelta) -> Work:
    """Return the work of reporting these results, by user."""

    async def work(connection: asyncpg.Connection) -> None:
        reported = [
            (UUID(mails[user].id), OutboxResult.model_validate({"id": mails[user].id, "status": status}))
            for user, status in results.items()
        ]
        await record_results(connection, reported, owner="me", now=NOW + after, policy=POLICY)

    return work


@pytest.fixture
async def topic(pool: asyncpg.Pool) -> Topic:
    """Ann and Zoe want every notification by email."""
    topic = await new_topic(pool)
    for user in ("ann", "zoe"):
        await topic.subscribe(user, "every")
    return topic


async def test_results_that_end_one_wait_and_begin_another_and_a_lease(pool: asyncpg.Pool, topic: Topic) -> None:
    """Neither person's address was verified; of one it is now."""
    await topic.publish()
    await fill(topic)
    async with pool.acquire() as connection:
        mails = {mail.user: mail for mail in await lease(connection)}
        await report(mails, {"ann": "unverified", "zoe": "unverified"}, timedelta())(connection)
        later = POLICY.unverified.recheck * 2
        tried = {mail.user: mail for mail in await lease(connection, later)}
    await topic.publish()
    await fill(topic)
    await in_turn(
        pool,
        "SELECT FROM email_unverified WHERE user_id = 'ann' FOR UPDATE",
        lambda connection: lease(connection, later),
        report(tried, {"ann": "sent", "zoe": "unverified"}, later),
    )
    assert await pool.fetchval("SELECT array_agg(user_id) FROM email_unverified") == ["zoe"]


async def test_results_about_a_person_with_a_first_refusal_and_a_lease(pool: asyncpg.Pool) -> None:
    async def record(connection: asyncpg.Connection, received: list[str], refused: list[str]) -> None:
        async with connection.transaction():
            await addresses.record(connection, received, dict.fromkeys(refused, REFUSED), POLICY.address, NOW)

    async def locked_by_a_lease(connection: asyncpg.Connection) -> None:
        await connection.execute("SELECT FROM email_strikes ORDER BY user_id FOR UPDATE")

    async with pool.acquire() as connection:
        await record(connection, [], ["zoe"])
    await in_turn(
        pool,
        "SELECT FROM email_strikes WHERE user_id = 'zoe' FOR UPDATE",
        lambda connection: record(connection, ["zoe"], ["ann"]),
        lambda connection: record(connection, [], ["ann"]),
        locked_by_a_lease,
    )
    assert await pool.fetchval("SELECT array_agg(user_id) FROM email_strikes") == ["ann"]


@pytest.mark.parametrize("end_of_pause", [addresses.resume, addresses.proved])
async def test_the_end_of_a_pause_and_a_lease_of_what_was_held_since(
    pool: asyncpg.Pool, topic: Topic, end_of_pause: Callable[..., Awaitable[object]]
) -> None:
    """While it waits for the person's strikes, one of their emails is held, and soon leased again."""
    async with pool.acquire() as connection, connection.transaction():
        await addresses.record(connection, [], {"ann": REFUSED}, POLICY.address, NOW)

    async def ends(connection: asyncpg.Connection) -> None:
        await end_of_pause(connection, "ann", POLICY.address, NOW)

    async def held(connection: asyncpg.Connection) -> None:
        await topic.publish()
        await fill(topic)
        assert [mail.user for mail in await lease(connection)] == ["zoe"]

    async def leased(connection: asyncpg.Connection) -> None:
        await lease(connection, POLICY.address.interval + timedelta(minutes=1))

    await in_turn(pool, "SELECT FROM email_strikes FOR UPDATE", ends, held, leased)
    async with pool.acquire() as connection:
        assert (await email_ledger(connection, NOW)).balanced


async def test_the_removal_of_an_account_and_a_confirmation(pool: asyncpg.Pool, topic: Topic) -> None:
    await topic.publish(3)
    await fill(topic)
    async with pool.acquire() as connection:
        await lease(connection)
    # The one that a scan finds last has the lowest id.
    lowest = "UPDATE outbox SET id = '00000000-0000-4000-8000-000000000000' WHERE user_id = 'ann' AND to_seq = 1"
    await pool.execute(lowest)
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM outbox WHERE user_id = 'ann'")]
    await in_turn(
        pool,
        f"SELECT FROM outbox WHERE id = '{min(ids)}' FOR UPDATE",
        lambda connection: outbox.confirm(connection, ids, owner="me", now=NOW),
        lambda connection: removal._end_subscriptions(connection, "ann"),
    )
    assert {row[0] for row in await topic.outbox()} == {"zoe"}


async def test_the_removal_of_an_account_and_of_finished_emails(pool: asyncpg.Pool) -> None:
    # A scan finds the lowest last.
    topics = sorted([await new_topic(pool) for _ in range(8)], key=lambda topic: topic.id, reverse=True)
    for topic in topics:
        for user in ("ann", "zoe"):
            await topic.subscribe(user, "every")
        await topic.publish()
        await fill(topic)
    await pool.execute("UPDATE outbox SET state = 'sent' WHERE user_id = 'zoe'")
    await in_turn(
        pool,
        f"SELECT FROM outbox_books WHERE topic_id = '{topics[-1].id}' FOR UPDATE",
        lambda connection: delete_old_records(connection, RecordTtls(), NOW + timedelta(days=30)),
        lambda connection: removal._end_subscriptions(connection, "ann"),
    )
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    async with pool.acquire() as connection:
        assert (await email_ledger(connection, NOW)).balanced
