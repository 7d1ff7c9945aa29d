"""Two replicas on one database, of which one has a wall clock that is wrong: nothing that is stored shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from notifyx_common.principal import system_principal
from support.clock import WrongWallClock
from support.patience import until
from support.store import StoreClient, running_store, store_settings, user

SYSTEM = system_principal("dispatcher")
ANN, BOB = user("ann"), user("bob")
AMOUNT = 3600.0
"""By how many seconds the clock is wrong."""

_FEW = timedelta(seconds=AMOUNT / 4)
"""More than a test takes."""


@pytest.fixture(params=[AMOUNT, -AMOUNT], ids=["ahead", "behind"])
async def replicas(request: pytest.FixtureRequest, database: str) -> AsyncIterator[tuple[StoreClient, StoreClient]]:
    """The replica whose clock is wrong, and one whose clock is right."""
    settings = store_settings(database, outbox_poll=0.2, expiry_every=0.05)
    async with running_store(settings, WrongWallClock(request.param)) as wrong, running_store(settings) as right:
        yield wrong, right


async def subscribed(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    await store.ok("PUT", "/topics/news/subscription", BOB, {"email": "every"})


async def test_an_email_is_due_when_it_is(replicas: tuple[StoreClient, StoreClient], pool: asyncpg.Pool) -> None:
    wrong, _ = replicas
    await subscribed(wrong)
    await wrong.publish(ANN, {"topic": "news", "title": "x"})
    waiting = "SELECT due_at - clock_timestamp() FROM outbox"
    assert abs(await until(lambda: pool.fetchval(waiting), "the outbox has it")) < _FEW
    assert abs(await pool.fetchval("SELECT published_at - clock_timestamp() FROM notifications")) < _FEW


async def test_a_leased_email_is_not_leased_again(replicas: tuple[StoreClient, StoreClient]) -> None:
    wrong, right = replicas
    await subscribed(right)
    await right.publish(ANN, {"topic": "news", "title": "x"})

    async def claimed(store: StoreClient) -> list[str]:
        lease = {"owner": "g", "lease_seconds": 600}
        return [mail["id"] for mail in (await store.ok("POST", "/outbox/claim", SYSTEM, lease))["mails"]]

    assert len(await until(lambda: claimed(wrong), "it is leased")) == 1
    assert await claimed(right) == [] == await claimed(wrong)


async def test_what_expires_is_removed_at_its_time(
    replicas: tuple[StoreClient, StoreClient], pool: asyncpg.Pool
) -> None:
    await replicas[0].ok("POST", "/topics", ANN, {"name": "news"})
    expires = {"topic": "news", "title": "x", "expires_at": (datetime.now(UTC) + _FEW).isoformat()}
    for store in replicas:
        assert all("seq" in result for result in await store.publish(ANN, expires, expires))
    await pool.execute("UPDATE notifications SET expires_at = clock_timestamp() WHERE seq % 2 = 1")
    await until(lambda: pool.fetchval("SELECT count(*) = 0 FROM notifications WHERE seq % 2 = 1"), "they are removed")
    assert await pool.fetchval("SELECT array_agg(seq ORDER BY seq) FROM notifications") == [2, 4]
