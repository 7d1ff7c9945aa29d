"""A store whose database was restored: seqs are never used twice, and everything that counts them still does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from notifyx_common.contracts.store.ledger import LedgerRow
from notifyx_common.principal import Principal
from notifyx_store.mail.outbox_fill import fill_outbox
from notifyx_store.maintenance.ledger import topic_ledgers
from notifyx_store.maintenance.retention import remove_batch, topics_over_retention
from notifyx_store.restored import SEQS_PER_SECOND, begin_after_restore
from support.store import StoreClient, running_store, store_settings
from support.store_database import NOW, Topic, new_topic

ANN = Principal(id="ann")
PASSED = int(NOW.timestamp()) * SEQS_PER_SECOND


async def restored(pool: asyncpg.Pool, *, later: float = 0.0) -> int:
    """Do what a restore does in the end, ``later`` seconds after :data:`NOW`."""
    async with pool.acquire() as connection, connection.transaction():
        return await begin_after_restore(connection, NOW + timedelta(seconds=later), NOW)


async def ledger(topic: Topic) -> LedgerRow:
    async with topic.db.acquire() as connection:
        [found] = await topic_ledgers(connection, [topic.id])
    assert found.unbalanced == 0
    return found.row


async def retain(topic: Topic) -> None:
    async with topic.db.acquire() as connection:
        while topic.id in await topics_over_retention(connection, NOW):
            assert (await remove_batch(connection, topic.id, "retention", NOW, batch=3)).removed


async def test_a_topic_goes_on_after_all_seqs_that_were_given_out(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.publish(12)
    assert await restored(pool) == PASSED
    assert await topic.publish() == PASSED + 1
    # Another restore of the same backup, an hour later: the first one's seqs are not used again either.
    assert await restored(pool, later=3600) > PASSED + 300_000_000
    assert await topic.publish() == PASSED + 3600 * SEQS_PER_SECOND + 1
    assert await topic.seqs() == [*range(1, 13), PASSED + 1, PASSED + 3600 * SEQS_PER_SECOND + 1]


async def test_a_clock_that_is_wrong_gives_no_seq_twice(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await restored(pool, later=10_000)
    last = await topic.publish(5)
    await restored(pool)
    assert await topic.publish() > last + 1_000_000


@pytest.mark.parametrize("acked", [0, 3, 12])
async def test_the_ledger_balances_and_counts_what_was_published(pool: asyncpg.Pool, acked: int) -> None:
    topic = await new_topic(pool)
    await topic.publish(2)
    await topic.subscribe("ann")
    await topic.subscribe("bob")
    await topic.publish(10)
    await topic.ack_up_to("ann", acked)
    await topic.unsubscribe("bob")
    before = await ledger(topic)
    await restored(pool)
    assert await ledger(topic) == before
    await topic.publish(4)
    await topic.subscribe("cleo")
    await restored(pool, later=60)
    await topic.publish(1)
    after = await ledger(topic)
    assert (after.due, after.pending) == (before.due + 5 + 1, before.pending + 5 + 1)
    assert (after.acked, after.expired, after.withdrawn) == (before.acked, 0, before.withdrawn)


async def test_retention_by_count_counts_notifications(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, max_count=6)
    await topic.subscribe("ann")
    await topic.publish(5)
    await restored(pool)
    await retain(topic)
    assert len(await topic.seqs()) == 5, "nothing is removed before there are more"
    await topic.publish(3)
    await restored(pool, later=60)
    await topic.publish(1)
    await retain(topic)
    assert await topic.seqs() == [4, 5, *range(PASSED + 1, PASSED + 4), PASSED + 60 * SEQS_PER_SECOND + 1]
    assert (await ledger(topic)).expired == 3
    await topic.publish(5)
    await retain(topic)
    assert len(await topic.seqs()) == 6
    assert min(await topic.seqs()) > PASSED + 60 * SEQS_PER_SECOND
    assert (await ledger(topic)).pending == 6


async def test_email_goes_on_behind_the_gap(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    for user in range(5):
        await topic.subscribe(f"u{user}", "every")
    await topic.publish(2)
    await restored(pool)
    await topic.publish(1)
    async with pool.acquire() as connection:
        steps = 0
        while (await fill_outbox(connection, [topic.id], NOW, rows=5)).unfinished:
            steps += 1
            assert steps < 6
    mailed = [int(str(seq)) for _, seq, _, _ in await topic.outbox()]
    assert sorted(mailed) == [1] * 5 + [2] * 5 + [PASSED + 1] * 5


async def publish(store: StoreClient, who: Principal, topic: str, *bodies: str) -> list[int]:
    results = await store.publish(who, *({"topic": topic, "body": body} for body in bodies))
    return [result["seq"] for result in results]


async def joined(store: StoreClient, topic: str, since: int) -> tuple[bool, bool, int]:
    answer: dict[str, Any] = await store.join(ANN, topic, since)
    return answer["restored"], answer["truncated"], answer["missing"]


async def test_who_resumes_is_told(store: StoreClient, pool: asyncpg.Pool) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    await publish(store, ANN, "news", *"abcdefghij")
    await restored(pool)
    for since in (0, 3, 10, 11, 900, 5_000, 10_000_000, PASSED - 1):
        assert await joined(store, "news", since) == (True, True, 0)
        assert (await store.join(ANN, "news", since))["restored_after"] == 10, "what is gone came after it"
    assert await joined(store, "news", PASSED) == (False, False, 0)
    [first] = await publish(store, ANN, "news", "k")
    assert first == PASSED + 1
    assert await joined(store, "news", 12) == (True, True, 0)
    assert await joined(store, "news", first) == (False, False, 0)
    # What retention has removed is counted, and nothing else.
    await pool.execute("UPDATE topics SET retention_max_count = 4 WHERE name = 'news'")
    async with pool.acquire() as connection:
        [topic] = await topics_over_retention(connection, NOW)
        await remove_batch(connection, topic, "retention", NOW)
    assert await joined(store, "news", 2) == (True, True, 5)
    assert await joined(store, "news", 9) == (True, True, 0)
    assert await joined(store, "news", 500) == (True, True, 0)


async def test_a_topic_that_is_made_after_a_restore_begins_behind_it(store: StoreClient, pool: asyncpg.Pool) -> None:
    """One of the same name, or the same user's inbox, may have been lost."""
    await restored(pool)
    await store.ok("POST", "/topics", ANN, {"name": "again"})
    await store.make_inbox(ANN.id)
    for name in ("again", f"user:{ANN.id}"):
        answer = await store.join(ANN, name)
        assert (answer["last_seq"], answer["unread"], answer["first_seq"]) == (PASSED, 0, PASSED + 1)
        assert await joined(store, name, 0) == (False, True, 0), "nobody has seen anything"
        assert await joined(store, name, 7) == (True, True, 0)
    assert await publish(store, ANN, "again", "a") == [PASSED + 1]
    assert (await store.join(ANN, "again"))["unread"] == 1


async def test_positions_of_before_are_kept_and_win_over_what_devices_know(
    store: StoreClient, pool: asyncpg.Pool
) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    await store.ok("PUT", "/topics/news/subscription", ANN, {"email": "never"})
    await publish(store, ANN, "news", *"abcde")
    await store.ack(ANN, "news", up_to=2)
    before = await store.join(ANN, "news")
    await restored(pool)
    after = await store.join(ANN, "news")
    assert (after["unread"], after["acked_up_to"], after["expired"]) == (3, 2, 0)
    assert after["revision"] > before["revision"] + 1_000_000
    # A device acknowledges what it has seen, which was published after the backup: what it has not seen stays unread.
    await publish(store, ANN, "news", "new")
    assert (await store.ack(ANN, "news", up_to=9))["unread"] == 1
    assert (await store.ack(ANN, "news", up_to=PASSED + 1))["unread"] == 0


async def test_search_finds_what_was_before_and_what_comes(database: str, pool: asyncpg.Pool) -> None:
    async with running_store(store_settings(database, search_index_poll=0.05, search_index_share=1.0)) as store:
        await store.ok("POST", "/topics", ANN, {"name": "news"})
        await publish(store, ANN, "news", *(f"old apple{n}" for n in range(40)))
    await restored(pool)
    async with running_store(store_settings(database, search_index_poll=0.05, search_index_share=1.0)) as store:
        await publish(store, ANN, "news", *(f"new apple{n}" for n in range(40)))
        for word in ("apple0", "apple31", "apple39"):
            found, after = [], ""
            while after is not None:
                page = await store.ok("GET", f"/search?topic=news&q={word}{after and f'&after={after}'}", ANN)
                found += [item["body"] for item in page["items"]]
                after = page["next"]
            assert found == [f"new {word}", f"old {word}"]
    assert await pool.fetchval("SELECT count(*) FROM search_ranges") < 20
