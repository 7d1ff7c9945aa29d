"""A flood of one account's publishes, or of mail to one person: others wait for a short request, not for the flood."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from statistics import median

import asyncpg
import pytest

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.subscriptions import SubscriptionSettings
from notifyx_common.contracts.store.topics import NewTopic
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics, PoolUsage
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.store import Store
from notifyx_store.app import StoreNode
from notifyx_store.mail.due import oldest
from notifyx_store.mail.outbox import lease_due
from notifyx_store.mail.outbox_fill import fill_outbox
from support.patience import PATIENCE, until
from support.postgres import sessions
from support.store import TOKEN, running_store, store_settings, user
from support.store_database import CONFIG, NOW, new_topic

FLOODER, STRANGER = user("flooder"), user("stranger")

SOCKETS, IN_FLIGHT = 12, 250

_BACKLOG = """
INSERT INTO outbox (id, subscription_id, topic_id, user_id, mode, from_seq, to_seq, state, due_at, attempts, created_at)
SELECT gen_random_uuid(), s.id, s.topic_id, s.user_id, 'every', seq, seq, 'pending', $3, 0, $3
FROM subscriptions s, generate_series(1, $2::bigint) AS seq WHERE s.topic_id = $1
"""
PUBLISHES = 15


@pytest.fixture
async def store(store_database: str) -> AsyncIterator[Store]:
    """A gateway's client of a store."""
    metrics, clock = Metrics(), SystemClock()
    async with running_store(store_settings(store_database)) as node:
        discovery = StaticDiscovery({"store": [Endpoint("store", node.url)]})
        client = ServiceClient("store", discovery=discovery, token=TOKEN, metrics=metrics, clock=clock)
        async with client, Store(client, clock=clock, metrics=metrics, background=Background(metrics)) as gateway:
            yield gateway


def same_lane(topic: str) -> str:
    """Another topic's name that has to share a lane with ``topic``, whatever their number."""
    lane = zlib.crc32(topic.encode()) % 64
    return next(name for n in range(10_000) if zlib.crc32((name := f"other.{n}").encode()) % 64 == lane)


async def test_others_wait_for_a_short_request_and_not_for_the_flood(store: Store) -> None:
    await store.create_topic(FLOODER, NewTopic(name="flood"))
    other = same_lane("flood")
    await store.create_topic(STRANGER, NewTopic(name=other))
    answered = 0
    ending = asyncio.Event()

    async def socket() -> None:
        nonlocal answered
        while not ending.is_set():
            with contextlib.suppress(Unavailable):  # what waited too long, on a slow machine
                await store.enqueue_publish(FLOODER, "flood", KeyedNotification(body="x" * 200))
                answered += 1

    async def publish() -> int:
        """Return how many of the flood were answered meanwhile."""
        before = answered
        await store.publish(STRANGER, other, KeyedNotification(body="mine"))
        return answered - before

    flood = [asyncio.create_task(socket()) for _ in range(SOCKETS * IN_FLIGHT)]
    while answered < SOCKETS * IN_FLIGHT:
        await asyncio.sleep(0.01)
    meanwhile = [await publish() for _ in range(PUBLISHES)]
    ending.set()
    await asyncio.gather(*flood)
    # The first may meet a long request, from when the account was alone; the later ones meet short ones.
    assert max(meanwhile[1:]) < SOCKETS * IN_FLIGHT / 2, meanwhile


async def test_slow_pages_leave_connections_to_publishes(store_database: str) -> None:
    blocker = await asyncpg.connect(store_database)
    async with running_store(store_settings(store_database, database_pool=8, concurrent_pages=2)) as node:
        await node.ok("POST", "/topics", STRANGER, {"name": "news"})
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE ack_exceptions")
            readers = [user(f"reader-{number}") for number in range(16)]
            pages = [asyncio.create_task(node.call("GET", "/inbox", who, params={"limit": "10"})) for who in readers]
            async with asyncio.timeout(PATIENCE):
                while await sessions(blocker, "wait_event = 'relation'") < 2:
                    await asyncio.sleep(0.01)
            [published] = await node.publish(STRANGER, {"topic": "news", "title": "a"})
            assert published["seq"] == 1
        assert {status for status, _ in await asyncio.gather(*pages)} <= {200, 503}
    await blocker.close()


async def test_others_read_pages_and_search_beside_an_account_that_searches_without_end(store_database: str) -> None:
    blocker = await asyncpg.connect(store_database)
    service = StoreNode(store_settings(store_database, database_pool=8, concurrent_pages=1, concurrent_searches=2))
    async with running_store(service.settings, service=service) as node:
        await node.ok("POST", "/topics", STRANGER, {"name": "news"})
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE search_ranges")
            searches = [
                asyncio.create_task(node.call("GET", "/search", FLOODER, params={"q": "x", "topic": "news"}))
                for _ in range(8)
            ]
            await until(lambda: service.parts.searches.usage() == PoolUsage(1, 2, 7))
            searches.append(
                asyncio.create_task(node.call("GET", "/search", STRANGER, params={"q": "x", "topic": "news"}))
            )
            await until(lambda: service.parts.searches.usage() == PoolUsage(2, 2, 7))
            status, _ = await node.call("GET", "/inbox", STRANGER, params={"limit": "10"})
            assert status == 200
        answers = await asyncio.gather(*searches)
        assert {(status, body.get("code")) for status, body in answers} <= {(200, None), (503, "search_timeout")}
    await blocker.close()


async def test_others_read_a_page_between_those_of_an_account_with_many(store_database: str) -> None:
    blocker = await asyncpg.connect(store_database)
    service = StoreNode(store_settings(store_database, database_pool=8, concurrent_pages=1))
    async with running_store(service.settings, service=service) as node:
        done: list[str] = []

        async def read(who: Principal) -> None:
            status, _ = await node.call("GET", "/inbox", who, params={"limit": "10"})
            assert status in (200, 503)  # a wait for the lock has a limit
            done.append(who.id)

        async def read_together(*people: Principal) -> None:
            items = [{"p": number, "limit": 10} for number in range(len(people))]
            asked = {"principals": [one.model_dump(mode="json") for one in people], "items": items}
            status, _ = await node.call("POST", "/pages/inbox", None, asked)
            assert status in (200, 503)
            done.append("together")

        async with blocker.transaction():
            await blocker.execute("LOCK TABLE ack_exceptions")
            pages = [asyncio.create_task(read(FLOODER)) for _ in range(10)]
            await until(lambda: service.parts.pages.usage().waiting == 9)
            pages.append(asyncio.create_task(read(STRANGER)))
            await until(lambda: service.parts.pages.usage().waiting == 10)
            pages.append(asyncio.create_task(read_together(FLOODER, user("somebody"))))
            await until(lambda: service.parts.pages.usage().waiting == 12)
        await asyncio.gather(*pages)
        assert done.index(STRANGER.id) <= 3, "the one at work, and one that had its turn"
        assert done.index("together") <= 5, "it has the turn of whoever's comes first"
    await blocker.close()


async def test_others_acknowledge_between_those_with_many_seqs(store: Store) -> None:
    await store.create_topic(FLOODER, NewTopic(name="many"))
    other = next(who for n in range(100) if same_ack_lane(who := user(f"other-{n}"), FLOODER))
    for who in (FLOODER, other):
        await store.subscribe(who, "many", SubscriptionSettings())
    await asyncio.gather(*(store.publish(FLOODER, "many", KeyedNotification(body="x")) for _ in range(600)))
    answered, ending = 0, asyncio.Event()

    async def flood() -> None:
        nonlocal answered
        while not ending.is_set():
            with contextlib.suppress(Unavailable):  # what waited too long, on a slow machine
                await store.ack(FLOODER, "many", seqs=list(range(1, 600, 2)))
                answered += 1

    async def acknowledge(seq: int) -> int:
        """Return how many of the flood were answered meanwhile."""
        before = answered
        await store.ack(other, "many", seqs=[seq])
        return answered - before

    floods = [asyncio.create_task(flood()) for _ in range(200)]
    while not answered:
        await asyncio.sleep(0.01)
    meanwhile = [await acknowledge(seq) for seq in range(10, 19)]
    ending.set()
    await asyncio.gather(*floods)
    # A request has at most 1000 items, of which each of the flood counts as 31: others meet two of them.
    assert median(meanwhile) <= 70, meanwhile


def same_ack_lane(one: Principal, other: Principal) -> bool:
    """Whether two users share a lane."""
    return zlib.crc32(one.id.encode()) % 2 == zlib.crc32(other.id.encode()) % 2


async def test_a_flood_of_mail_to_one_delays_no_other(pool: asyncpg.Pool) -> None:
    flood, broadcast, quiet = [await new_topic(pool) for _ in range(3)]
    await flood.subscribe("ann", "every")
    for number in range(200):
        await broadcast.subscribe(f"reader-{number}", "every")
    await quiet.subscribe("bob", "every")
    await flood.publish(600)
    await broadcast.publish(2)
    await quiet.publish(at=NOW + timedelta(seconds=1))
    async with pool.acquire() as connection:
        while (await fill_outbox(connection, [flood.id, broadcast.id, quiet.id], NOW)).unfinished:
            pass
        now = NOW + timedelta(seconds=5)
        mails = await lease_due(connection, CONFIG, owner="me", limit=10, lease=60, now=now)
    assert len(mails) == 10
    assert "bob" in {mail.user for mail in mails}, "the newest of a thousand due mails, and the first of its recipient"


async def test_small_leases_of_mail_give_turns_as_one_large_lease_does(pool: asyncpg.Pool) -> None:
    topics = [await new_topic(pool) for _ in range(12)]
    for number, topic in enumerate(topics):
        await topic.subscribe(f"reader-{number}", "every")
        await topic.publish(20, at=NOW + timedelta(seconds=topic is topics[-1]))
    async with pool.acquire() as connection:
        while (await fill_outbox(connection, [topic.id for topic in topics], NOW)).unfinished:
            pass
        now = NOW + timedelta(seconds=5)
        leases = [await lease_due(connection, CONFIG, owner="me", limit=6, lease=60, now=now) for _ in range(4)]
    for start in (0, 2):
        users = [mail.user for lease in leases[start : start + 2] for mail in lease]
        assert len(set(users)) == 12, "nobody's second before everybody's first, the newest included"
    assert [mail.context["seq"] for lease in leases for mail in lease] == [1] * 12 + [2] * 12


async def test_a_backlog_of_mail_to_many_topics_leaves_a_turn_to_each_other_topic(pool: asyncpg.Pool) -> None:
    flood, quiet = [await new_topic(pool) for _ in range(2)]
    await flood.subscribe("ann", "every")
    await quiet.subscribe("bob", "every")
    await pool.execute(_BACKLOG, flood.id, oldest(10) + 300, NOW)
    await quiet.publish(at=NOW + timedelta(seconds=1))
    async with pool.acquire() as connection:
        while (await fill_outbox(connection, [quiet.id], NOW)).unfinished:
            pass
        now = NOW + timedelta(seconds=5)
        mails = await lease_due(connection, CONFIG, owner="me", limit=10, lease=60, now=now)
    assert "bob" in {mail.user for mail in mails}, "it is newer than all at which a lease looks first"


async def test_a_small_lease_of_mail_reads_little_of_a_large_backlog(pool: asyncpg.Pool) -> None:
    topics, each = [await new_topic(pool) for _ in range(4)], 1000
    for topic in topics:
        await topic.subscribe("ann", "every")
        await topic.publish(each)
    async with pool.acquire() as connection:
        while (await fill_outbox(connection, [topic.id for topic in topics], NOW)).unfinished:
            pass
        await connection.execute("ANALYZE outbox")
        await connection.execute("SELECT pg_stat_force_next_flush()")  # what was counted until now
        async with connection.transaction():
            assert len(await lease_due(connection, CONFIG, owner="me", limit=5, lease=60, now=NOW)) == 5
            read = await connection.fetchval(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'outbox'"
            )
    # About 1,100 with the usual plans; some read a table as small as this one whole, once a statement (9,050 seen).
    # With 10,000 of the oldest it was 28,000, and 21,000 where each topic had all due mails read by their time.
    assert read < 3 * len(topics) * each, "neither all candidates nor all due mails of each topic are read"


async def test_an_account_that_changes_one_subscription_leaves_connections_to_publishes(store_database: str) -> None:
    blocker = await asyncpg.connect(store_database)
    async with running_store(store_settings(store_database, database_pool=4)) as node:
        await node.ok("POST", "/topics", STRANGER, {"name": "news"})
        await node.ok("POST", "/topics", FLOODER, {"name": "own"})
        await node.ok("PUT", "/topics/own/subscription", FLOODER, {})
        async with blocker.transaction():
            await blocker.execute("SELECT id FROM subscriptions WHERE user_id = $1 FOR UPDATE", FLOODER.id)
            changes = [
                asyncio.create_task(node.call("PUT", "/topics/own/subscription", FLOODER, {"email": "never"}))
                for _ in range(20)
            ]
            waiting = "wait_event_type = 'Lock'"
            async with asyncio.timeout(PATIENCE):
                while not await sessions(blocker, waiting):
                    await asyncio.sleep(0.01)
            [published] = await node.publish(STRANGER, {"topic": "news", "title": "a"})
            assert published["seq"] == 1
            assert await sessions(blocker, waiting) == 1, "the others wait without a connection"
        assert {status for status, _ in await asyncio.gather(*changes)} == {200}
    await blocker.close()
