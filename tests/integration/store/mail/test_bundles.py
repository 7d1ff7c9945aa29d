"""More emails than a person wants in an hour, on the real database: what is over waits, and goes out as one mail."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult, ReleasedMails
from notifyx_store.mail import acknowledge_link, addresses, outbox, unsubscribe, unverified
from notifyx_store.mail.bundle_rules import BUNDLE_ITEMS, DIGEST, HourlyLimit
from notifyx_store.mail.outbox_fill import fill_outbox
from notifyx_store.mail.outbox_rules import UNVERIFIED
from notifyx_store.mail.results import record_results
from notifyx_store.maintenance.ledger import email_ledger
from support.patience import PATIENCE, until
from support.store_database import CONFIG, NOW, Topic, new_topic

GATHER = timedelta(minutes=15)
LEASE = timedelta(seconds=60)
HOURLY = 3


@dataclass
class Post:
    """An outbox and its dispatchers; time passes as the test says."""

    pool: asyncpg.Pool
    held: list[int] = field(default_factory=list)
    now: Any = NOW

    @property
    def config(self) -> outbox.OutboxConfig:
        return replace(CONFIG, hourly=HourlyLimit(HOURLY, GATHER, self.held.append))

    async def topic(self, *users: str) -> Topic:
        topic = await new_topic(self.pool)
        for user in users:
            await topic.subscribe(user, "every")
        return topic

    async def publish(self, topic: Topic, count: int = 1, priority: str = "normal") -> None:
        """Publish notifications of that priority, with texts that a search for it could fall for."""
        last = await topic.publish(count, at=self.now, body='\0 \\u0000 "priority":"urgent"')
        async with self.pool.acquire() as connection:
            await connection.execute(
                "UPDATE notifications SET payload = replace(replace(payload, '\"normal\"', to_json($3::text)::text),"
                " '\"data\":null', '\"data\":{\"priority\":\"urgent\",\"publisher\":{}}')"
                " WHERE topic_id = $1 AND seq > $2",
                topic.id, last - count, priority,
            )  # fmt: skip
            await fill_outbox(connection, [topic.id], self.now)

    async def lease(self, owner: str = "me", limit: int = 1000) -> list[OutboxMail]:
        async with self.pool.acquire() as connection:
            return await outbox.lease_due(
                connection, self.config, owner=owner, limit=limit, lease=LEASE.total_seconds(), now=self.now
            )

    async def confirm(self, mails: Iterable[OutboxMail], owner: str = "me") -> list[str]:
        async with self.pool.acquire() as connection:
            ids = [UUID(mail.id) for mail in mails]
            return [str(one) for one in await outbox.confirm(connection, ids, owner=owner, now=self.now)]

    async def tell(self, mails: Iterable[OutboxMail], status: Any, owner: str = "me", **more: Any) -> None:
        results = [(UUID(mail.id), OutboxResult(id=mail.id, status=status, **more)) for mail in mails]
        async with self.pool.acquire() as connection:
            await record_results(
                connection, results, owner=owner, now=self.now, policy=CONFIG.policy, jitter=lambda: 0.5
            )

    async def send(self, mails: Sequence[OutboxMail], status: Any = "sent", **more: Any) -> None:
        assert await self.confirm(mails) == [mail.id for mail in mails]
        await self.tell(mails, status, **more)

    async def balanced(self) -> bool:
        async with self.pool.acquire() as connection:
            return (await email_ledger(connection, self.now)).balanced

    async def digest_of(self, topic: Topic, count: int) -> OutboxMail:
        """Use up the hour's emails, then publish ``count`` more; return the digest of them, leased."""
        await self.publish(topic, HOURLY)
        await self.send(await self.lease())
        await self.publish(topic, count)
        assert await self.lease() == []
        self.now += GATHER
        [digest] = await self.lease()
        return digest


@pytest.fixture
def post(pool: asyncpg.Pool) -> Post:
    return Post(pool)


def seqs(mail: OutboxMail) -> list[int]:
    listed = mail.context.get("notifications")
    return [item["seq"] for item in listed] if listed is not None else [mail.context["seq"]]


async def test_what_is_over_the_hourly_number_goes_out_as_one_mail(post: Post) -> None:
    disks, builds = await post.topic("ann", "bob"), await post.topic("ann")
    await post.publish(disks, 6)
    mails = await post.lease()
    assert Counter(mail.user for mail in mails) == {"ann": HOURLY, "bob": HOURLY}
    assert post.held == [6]
    assert (await disks.outbox("state, reason"))[:6] == [("leased", None)] * 3 + [("pending", DIGEST)] * 3
    await post.send(mails)
    post.now += timedelta(minutes=5)
    await post.publish(builds, 2)
    await post.publish(builds, priority="urgent")
    # What is urgent does not wait; the rest joins those that do.
    [urgent] = await post.lease()
    assert (urgent.user, seqs(urgent)) == ("ann", [3])
    await post.send([urgent])
    # A replica of an earlier version, which leases what is due, finds none of these: not before and not while leased.
    due = "SELECT count(*) FROM outbox WHERE state = 'pending' AND due_at <= $1"
    assert await post.pool.fetchval(due, NOW + timedelta(days=999)) == 0
    post.now += timedelta(minutes=10)
    anns, bobs = sorted(await post.lease(), key=lambda mail: mail.user)
    assert await post.pool.fetchval(due, NOW + timedelta(days=999)) == 0
    assert (anns.template, anns.message_id) == ("digest", f"<{anns.id}@mail.example>")
    items = [(item["topic"], item["seq"], item["topic_title"]) for item in anns.context["notifications"]]
    assert sorted(items) == sorted([(disks.name, seq, "A title") for seq in (4, 5, 6)]
                                   + [(builds.name, seq, "A title") for seq in (1, 2)])  # fmt: skip
    assert [topic for topic, _, _ in items] == sorted(topic for topic, _, _ in items), "by topic"
    assert (anns.context["topic"], anns.context["count"], anns.context["hourly"]) == ("", 5, HOURLY)
    assert (bobs.context["topic"], seqs(bobs)) == (disks.name, [4, 5, 6])
    async with post.pool.acquire() as connection:
        about = await acknowledge_link.mailed(
            connection, acknowledge_link.verify(anns.acknowledge_token, [CONFIG.secret], post.now)
        )
        assert {(one.topic, one.user): set(one.seqs) for one in about} == {
            (disks.name, "ann"): {4, 5, 6},
            (builds.name, "ann"): {1, 2},
        }
    await post.send([anns, bobs])
    assert {state for (state,) in await disks.outbox("state")} == {"sent"}
    assert await post.balanced()
    # It counted as one mail: after the hour of the first ones there is room for all but that.
    post.now = NOW + timedelta(minutes=61)
    await post.publish(disks, HOURLY)
    assert Counter(mail.user for mail in await post.lease()) == {"ann": HOURLY - 2, "bob": HOURLY - 1}


async def test_its_unsubscribe_link_names_all_its_topics_and_may_end_some(post: Post) -> None:
    disks, builds = sorted([await post.topic("ann"), await post.topic("ann")], key=lambda topic: topic.name)
    await post.publish(disks, HOURLY)
    await post.send(await post.lease())
    for topic in (disks, builds):
        await post.publish(topic, 2)
    await post.lease()
    post.now += GATHER
    [digest] = await post.lease()
    async with post.pool.acquire() as connection:
        named = unsubscribe.verify(digest.unsubscribe_token, [CONFIG.secret])
        assert [topic.name for topic in await unsubscribe.topics_of(connection, named)] == [disks.name, builds.name]
        assert await unsubscribe.switch_off(connection, named, [disks.name, "not.of.this.mail"]) == "ann"
        assert await unsubscribe.switch_off(connection, named, [disks.name]) is None
        # What is no longer wanted leaves it, and the rest is due at once.
        assert await post.confirm([digest]) == []
        [rest] = await post.lease()
        assert rest.context["topic"] == builds.name
        assert await unsubscribe.switch_off(connection, named) == "ann"
    assert await post.confirm([rest]) == []
    assert await post.lease() == []
    assert await post.balanced()
    assert await post.pool.fetchval("SELECT count(*) FROM outbox_bundles") == 0


async def test_once_it_may_have_been_sent_it_only_loses_what_is_not_wanted_any_more(post: Post) -> None:
    topic = await post.topic("ann")
    first = await post.digest_of(topic, 4)
    await topic.ack_seqs("ann", [5])
    assert await post.confirm([first]) == []
    [digest] = await post.lease()
    assert (seqs(digest), digest.context["count"]) == ([4, 6, 7], 3)
    await post.send([digest], "failed", reason="451 try later")
    await post.publish(topic, 2)
    post.now += timedelta(hours=2)
    mails = await post.lease()
    [again] = [mail for mail in mails if mail.template == "digest" and mail.id == digest.id]
    assert (seqs(again), again.message_id, again.attempt) == ([4, 6, 7], digest.message_id, 2)
    assert sorted(seq for mail in mails if mail is not again for seq in seqs(mail)) == [8, 9]
    await topic.ack_seqs("ann", [4])
    assert await post.confirm([again]) == []
    [last] = [mail for mail in await post.lease() if mail.id == digest.id]
    assert seqs(last) == [6, 7]
    await post.send([last])
    assert await post.balanced()


@pytest.mark.parametrize("confirmed", [False, True], ids=["before", "after"])
async def test_a_gateway_that_dies_with_it_loses_nothing(post: Post, confirmed: bool) -> None:
    """Before it was confirmed it cannot have been sent; after it, it is the same mail whoever sends it."""
    topic = await post.topic("ann")
    digest = await post.digest_of(topic, 3)
    if confirmed:
        await post.confirm([digest])
    post.now += LEASE
    [again] = await post.lease("other")
    assert (again.id == digest.id) == confirmed
    assert seqs(again) == seqs(digest)
    assert await post.confirm([digest]) == []
    await post.tell([digest], "failed")
    if confirmed:
        # That it went out is true whoever says so, and however late.
        await post.tell([digest], "sent")
        assert await post.confirm([again], "other") == []
    else:
        await post.tell([digest], "sent")
        assert await post.confirm([again], "other") == [again.id]
        for _ in range(2):
            await post.tell([again], "sent", "other")
    assert {state for (state,) in await topic.outbox("state")} == {"sent"}
    assert await post.balanced()


@pytest.mark.parametrize("mailers", [1, 2])
async def test_what_a_second_mailer_says_is_not_what_became_of_it_at_the_first(post: Post, mailers: int) -> None:
    digest = await post.digest_of(await post.topic("ann"), 3)
    for _ in range(mailers):
        assert await post.confirm([digest]) == [digest.id]
    await post.tell([digest], "off")
    post.now += GATHER
    [again] = await post.lease()
    assert (again.id == digest.id) == (mailers == 2)
    assert seqs(again) == seqs(digest)


async def test_one_that_never_gets_through_is_given_up(post: Post) -> None:
    topic = await post.topic("ann")
    digest = await post.digest_of(topic, 2)
    for attempt in range(1, CONFIG.policy.max_attempts + 1):
        assert digest.attempt == attempt
        await post.send([digest], "failed", reason=f"451 no {attempt}")
        post.now += timedelta(hours=4)
        for again in await post.lease():
            digest = again
    assert (await topic.outbox("state, reason"))[HOURLY:] == [("dead", "451 no 8")] * 2
    assert await post.balanced()


async def test_the_rules_of_addresses_hold_for_all_that_is_in_it(post: Post) -> None:
    topic = await post.topic("ann")
    digest = await post.digest_of(topic, 3)
    await post.tell([digest], "unverified")
    assert (await topic.outbox("state, reason, held, attempts"))[HOURLY:] == [("pending", UNVERIFIED, True, 0)] * 3
    async with post.pool.acquire() as connection:
        assert await unverified.release(connection, ["ann"], post.now) == ReleasedMails(released=3, dropped=0)
    await topic.ack_seqs("ann", [4])
    assert await post.lease() == []
    post.now += GATHER
    [digest] = await post.lease()
    assert seqs(digest) == [5, 6]
    await post.send([digest], "refused", reason="550 5.1.1 unknown", address_refused=True)
    async with post.pool.acquire() as connection:
        state = await addresses.email_state(connection, "ann")
    assert (state.state, state.held) == ("paused", 2)
    post.now += CONFIG.policy.address.interval + timedelta(minutes=2)
    [one] = await post.lease()
    assert seqs(one) in ([5], [6]), "one email is tried, the others wait"
    await post.send([one])
    assert await post.balanced()


async def test_a_flood_is_listed_in_part_the_important_first(post: Post) -> None:
    topic = await post.topic("ann")
    await post.publish(topic, HOURLY)
    await post.send(await post.lease())
    await post.publish(topic, 2, priority="high")
    await post.publish(topic, BUNDLE_ITEMS + 20, priority="low")
    await post.lease()
    post.now += GATHER
    [digest] = await post.lease()
    last = HOURLY + 2 + BUNDLE_ITEMS + 20
    assert seqs(digest) == [4, 5, *range(last - BUNDLE_ITEMS + 3, last + 1)]
    assert (digest.context["count"], digest.context["more"]) == (BUNDLE_ITEMS + 22, 22)
    await post.send([digest])
    assert await post.balanced()
    assert {state for (state,) in await topic.outbox("state")} == {"sent"}


async def test_whatever_happens_nothing_is_lost_and_nothing_is_in_two_mails(post: Post) -> None:
    """Dispatchers that lose results, die and fail at random, while people acknowledge and publish."""
    chance = random.Random(7)
    topics = [await post.topic("ann", "bob") for _ in range(2)]
    delivered: defaultdict[tuple[str, str, int], set[str]] = defaultdict(set)
    acknowledged: set[tuple[str, str, int]] = set()

    async def dispatch(owner: str, *, calm: bool) -> None:
        mails = await post.lease(owner, limit=8)
        if not mails or (not calm and chance.random() < 0.2):
            return
        wanted = set(await post.confirm(mails, owner))
        for mail in mails:
            if mail.id not in wanted:
                continue
            outcome = "sent" if calm else chance.choice(["sent", "sent", "failed", "lost", "fails after all", "off"])
            if outcome in ("sent", "lost", "fails after all"):
                for item in mail.context.get("notifications", [mail.context]):
                    delivered[mail.user, item["topic"], item["seq"]].add(mail.message_id)
            if outcome != "lost":
                await post.tell([mail], "failed" if outcome == "fails after all" else outcome, owner)

    for step in range(60):
        for topic in topics:
            if step < 30:
                await post.publish(topic, chance.randrange(3))
            seq = chance.randrange(1, 40)
            if step < 30 and chance.random() < 0.3:
                await topic.ack_seqs("ann", [seq])
                acknowledged.add(("ann", topic.name, seq))
        await asyncio.gather(*(dispatch(f"gateway-{n}", calm=step >= 45) for n in range(3)))
        assert await post.balanced()
        post.now += timedelta(minutes=chance.choice([0, 1, 5, 20]) if step < 45 else 120)
    states = Counter(await post.pool.fetchval("SELECT array_agg(state) FROM outbox"))
    assert set(states) <= {"sent", "fenced", "dead"}
    assert not [item for item, ids in delivered.items() if len(ids) > 1]
    everything = await post.pool.fetch("SELECT o.*, t.name FROM outbox o JOIN topics t ON t.id = o.topic_id")
    for row in everything:
        item = (row["user_id"], row["name"], row["to_seq"])
        assert delivered[item] or row["state"] == "dead" or item in acknowledged, row
    assert await post.pool.fetchval("SELECT count(*) FROM outbox WHERE bundle IS NOT NULL") > 5
    assert await post.pool.fetchval("SELECT count(*) FROM outbox_bundles") == 0


async def test_results_about_the_same_people_in_another_order_do_not_wait_for_each_other(post: Post) -> None:
    async with post.pool.acquire() as connection:
        unknown = {user: (UUID(int=1), "550 5.1.1 unknown") for user in ("ann", "bob")}
        await addresses.record(connection, [], unknown, CONFIG.policy.address, post.now)

    async def record(received: str, refused: str) -> None:
        async with post.pool.acquire() as connection, connection.transaction():
            mail = {refused: (UUID(int=2), "550 5.1.1 unknown")}
            await addresses.record(connection, [received], mail, CONFIG.policy.address, post.now)

    async def waiting(count: int) -> None:
        query = """
            SELECT count(*) = $1 FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND datname = current_database()
        """
        await until(lambda: post.pool.fetchval(query, count), f"{count} wait for a lock")

    async with post.pool.acquire() as holder, asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        lock = holder.transaction()
        await lock.start()
        await holder.execute("SELECT FROM email_strikes WHERE user_id = 'ann' FOR UPDATE")
        tasks.create_task(record("ann", "bob"))
        await waiting(1)
        tasks.create_task(record("bob", "ann"))
        await waiting(2)
        await lock.rollback()
