"""Email for a user whose address is not verified, on the real database: it waits, bounded, and is sent once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult, ReleasedMails
from notifyx_store.mail import addresses, outbox, unsubscribe, unverified
from notifyx_store.mail.outbox_fill import fill_outbox
from notifyx_store.mail.outbox_rules import TOO_MANY, TOO_OLD, UNVERIFIED, UnverifiedPolicy
from notifyx_store.mail.results import record_results
from notifyx_store.maintenance.ledger import email_ledger
from support.patience import PATIENCE
from support.postgres import sessions
from support.store_database import CONFIG, NOW, Topic, new_topic

AGE = timedelta(hours=2)
RECHECK = timedelta(minutes=1)


@dataclass
class Post:
    """An outbox and its dispatchers; time passes as the test says. ``proven``: users with a verified address."""

    pool: asyncpg.Pool
    topic: Topic
    keep: int = 100
    now: datetime = NOW
    proven: set[str] = field(default_factory=set)
    sent: list[tuple[str, int]] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)

    @property
    def config(self) -> outbox.OutboxConfig:
        policy = UnverifiedPolicy(self.keep, AGE, RECHECK, self.dropped.append)
        return replace(CONFIG, policy=replace(CONFIG.policy, unverified=policy))

    async def publish(self, count: int = 1) -> None:
        await self.topic.publish(count, at=self.now)
        async with self.pool.acquire() as connection:
            await fill_outbox(connection, [self.topic.id], self.now)

    async def lease(self, connection: asyncpg.Connection, limit: int = 50) -> list[OutboxMail]:
        return await outbox.lease_due(connection, self.config, owner="me", limit=limit, lease=60, now=self.now)

    async def finish(self, connection: asyncpg.Connection, mails: list[OutboxMail], proven: set[str]) -> None:
        """Send what is for users in ``proven`` and is still wanted; report all."""
        ids = [UUID(mail.id) for mail in mails if mail.user in proven]
        wanted = {str(one) for one in await outbox.confirm(connection, ids, owner="me", now=self.now)}
        self.sent += [(mail.user, seq(mail)) for mail in mails if mail.id in wanted]
        results = [
            (UUID(mail.id), OutboxResult(id=mail.id, status="sent" if mail.id in wanted else "unverified"))
            for mail in mails
            if mail.id in wanted or mail.user not in proven
        ]
        await record_results(
            connection, results, owner="me", now=self.now, policy=self.config.policy, jitter=lambda: 0.5
        )

    async def work(self, limit: int = 50) -> int:
        """Dispatch all that is due now; return how many emails were leased."""
        leased = 0
        async with self.pool.acquire() as connection:
            while mails := await self.lease(connection, limit):
                leased += len(mails)
                await self.finish(connection, mails, self.proven)
            assert (await email_ledger(connection, self.now)).balanced
        return leased

    async def release(self, user: str = "ann") -> ReleasedMails:
        async with self.pool.acquire() as connection, connection.transaction():
            return await unverified.release(connection, [user], self.now)

    async def verify(self, user: str = "ann") -> ReleasedMails:
        self.proven.add(user)
        return await self.release(user)


def seq(mail: OutboxMail) -> int:
    value = mail.context["seq"]
    assert isinstance(value, int)
    return value


@pytest.fixture
async def post(pool: asyncpg.Pool) -> Post:
    """Ann, whose address is not verified, and Bob want every notification by email."""
    topic = await new_topic(pool)
    for user in ("ann", "bob"):
        await topic.subscribe(user, "every")
    return Post(pool, topic, proven={"bob"})


async def test_mail_waits_for_the_address_and_is_sent_once(post: Post) -> None:
    await post.publish(3)
    assert await post.work() == 6
    assert post.sent == [("bob", 1), ("bob", 2), ("bob", 3)]
    await post.publish(2)
    assert await post.work() == 2, "Ann's are held without a lease"
    assert await post.topic.outbox("user_id, state, reason, held, attempts") == [
        *[("ann", "pending", UNVERIFIED, True, 0)] * 5, *[("bob", "sent", None, False, 1)] * 5,
    ]  # fmt: skip
    async with post.pool.acquire() as connection:
        state = await addresses.email_state(connection, "ann")
    assert (state.state, state.held) == ("on", 5)
    await post.topic.ack_seqs("ann", [2, 4])
    assert await post.verify() == ReleasedMails(released=5, dropped=0)
    assert await post.work() == 3
    assert post.sent[5:] == [("ann", 1), ("ann", 3), ("ann", 5)]
    assert await post.topic.outbox("to_seq, state, reason, held") == [
        (1, "sent", None, False), (2, "fenced", "acknowledged", False), (3, "sent", None, False),
        (4, "fenced", "acknowledged", False), (5, "sent", None, False),
        *[(number, "sent", None, False) for number in range(1, 6)],
    ]  # fmt: skip
    assert await post.verify() == ReleasedMails(released=0, dropped=0)
    post.now += timedelta(days=9)
    assert await post.work() == 0
    await post.publish()
    assert await post.work() == 2
    assert sorted(post.sent[8:]) == [("ann", 6), ("bob", 6)]


async def test_what_is_no_longer_wanted_when_the_address_is_verified_is_not_sent(post: Post) -> None:
    await post.topic.subscribe("cyd", "every")
    await post.publish()
    await post.work()
    await post.topic.unsubscribe("ann")
    async with post.pool.acquire() as connection:
        subscription = await connection.fetchval("SELECT id FROM subscriptions WHERE user_id = 'cyd'")
        await unsubscribe.switch_off(connection, [subscription])
    for user in ("ann", "cyd"):
        assert await post.verify(user) == ReleasedMails(released=1, dropped=0)
    assert await post.work() == 0
    assert await post.topic.outbox("user_id, state, reason, held") == [
        ("ann", "fenced", "unsubscribed", False),
        ("bob", "sent", None, False),
        ("cyd", "fenced", "unsubscribed", False),
    ]


async def test_of_what_waits_the_newest_are_kept_and_the_others_counted(post: Post) -> None:
    post.keep = 3
    await post.publish(5)
    await post.work()
    assert post.dropped == [2], "when the dispatcher says so"
    post.now += timedelta(seconds=1)
    await post.publish(2)
    await post.work()
    assert post.dropped == [2, 2], "when they are held without a lease"
    assert [row for row in await post.topic.outbox("user_id, to_seq, state, reason, held") if row[0] == "ann"] == [
        *[("ann", number, "dead", TOO_MANY, False) for number in range(1, 5)],
        *[("ann", number, "pending", UNVERIFIED, True) for number in range(5, 8)],
    ]
    assert await post.verify() == ReleasedMails(released=3, dropped=4)
    await post.work()
    assert [number for user, number in post.sent if user == "ann"] == [5, 6, 7]


async def test_what_waited_too_long_is_given_up_and_counted(post: Post) -> None:
    await post.publish(2)
    await post.work()
    post.now += AGE / 2
    await post.publish()
    await post.work()
    post.now += AGE / 2
    await post.work()
    assert sum(post.dropped) == 2
    assert [row for row in await post.topic.outbox("user_id, to_seq, state, reason, held") if row[0] == "ann"] == [
        ("ann", 1, "dead", TOO_OLD, False), ("ann", 2, "dead", TOO_OLD, False), ("ann", 3, "pending", UNVERIFIED, True),
    ]  # fmt: skip
    assert await post.verify() == ReleasedMails(released=1, dropped=2)
    await post.work()
    assert [number for user, number in post.sent if user == "ann"] == [3]


async def test_the_age_begins_when_a_mail_is_due_and_not_when_it_was_written(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, digest_every=int(AGE.total_seconds() * 3))
    await topic.subscribe("ann", "digest")
    post = Post(pool, topic)
    await post.publish()
    post.now += AGE * 3
    await post.work()
    post.now += AGE / 2
    await post.work()
    assert await topic.outbox("state, reason") == [("pending", UNVERIFIED)]
    assert (await post.verify()).released == 1


async def test_without_word_of_it_one_mail_is_tried_from_time_to_time(post: Post) -> None:
    """No gateway has told the store, or its call was lost."""
    await post.publish(4)
    await post.work()
    assert await post.work() == 0
    tries = [NOW]
    while post.now < NOW + AGE / 2:
        post.now += timedelta(seconds=30)
        if leased := await post.work():
            assert leased == 1, "one at a time"
            tries.append(post.now)
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert RECHECK <= waits[0] <= RECHECK + timedelta(seconds=30)
    assert waits == sorted(waits), "less and less often"
    assert len(tries) < 13
    assert post.dropped == []
    post.proven.add("ann")
    while not [user for user, _ in post.sent if user == "ann"]:
        post.now += timedelta(seconds=30)
        assert post.now < NOW + AGE
        await post.work()
    assert sorted(number for user, number in post.sent if user == "ann") == [1, 2, 3, 4]


@pytest.mark.parametrize("status", ["failed", "gone"])
async def test_a_result_that_shows_that_nothing_has_to_wait_ends_the_wait(post: Post, status: Any) -> None:
    await post.publish(3)
    await post.work()
    post.now += RECHECK
    async with post.pool.acquire() as connection:
        [tried] = await post.lease(connection)
        result = OutboxResult(id=tried.id, status=status)
        await record_results(
            connection, [(UUID(tried.id), result)], owner="me", now=post.now, policy=post.config.policy
        )
        assert len(await post.lease(connection)) == 2
        assert await connection.fetchval("SELECT count(*) FROM email_unverified") == 0


async def test_a_dispatcher_that_dies_with_a_mail_that_waited_keeps_nothing(post: Post) -> None:
    await post.publish(2)
    await post.work()
    post.now += RECHECK
    async with post.pool.acquire() as connection:
        assert len(await post.lease(connection)) == 1
    assert (await post.verify()).released == 1
    post.now += timedelta(seconds=60)
    await post.work()
    assert sorted(number for user, number in post.sent if user == "ann") == [1, 2]


Step = Callable[[Post, asyncpg.Connection], Coroutine[Any, Any, object]]


async def lease(post: Post, connection: asyncpg.Connection) -> int:
    return len(await post.lease(connection))


async def release(post: Post, connection: asyncpg.Connection) -> int:
    async with connection.transaction():
        return (await unverified.release(connection, ["ann"], post.now)).released


@pytest.mark.parametrize(("first", "second"), [(lease, release), (release, lease)])
async def test_no_mail_stays_held_that_was_leased_while_the_address_was_verified(
    post: Post, first: Step, second: Step
) -> None:
    await post.publish()
    await post.work()
    await post.publish()
    async with post.pool.acquire() as one, post.pool.acquire() as other:
        async with one.transaction():
            await first(post, one)
            racing = asyncio.create_task(second(post, other))
            async with asyncio.timeout(PATIENCE):
                pid = other.get_server_pid()
                while not racing.done() and not await sessions(one, "wait_event_type = 'Lock' AND pid = $1", pid):
                    await asyncio.sleep(0.01)
        await racing
        assert await post.lease(one) != [] or second is lease
    assert not [row for row in await post.topic.outbox("state, held") if row == ("pending", True)]


async def test_dispatchers_and_verifications_at_the_same_time_send_each_mail_once(post: Post) -> None:
    users = [f"user-{number}" for number in range(6)]
    for user in users:
        await post.topic.subscribe(user, "every")
    await post.publish(5)
    await post.work()

    async def dispatcher() -> None:
        async with post.pool.acquire() as connection:
            for _ in range(12):
                proven = set(post.proven)
                await post.finish(connection, await post.lease(connection, 4), proven)

    async def verifications() -> None:
        for user in users:
            await post.publish()
            await post.verify(user)

    await asyncio.gather(*(dispatcher() for _ in range(3)), verifications())
    # A result of before comes after the release: its mail is tried again soon.
    await post.work()
    post.now += RECHECK * 2
    await post.work()
    expected = [(user, number) for user in ("bob", *users) for number in range(1, 12)]
    assert sorted(one for one in post.sent if one[0] != "ann") == sorted(expected)
