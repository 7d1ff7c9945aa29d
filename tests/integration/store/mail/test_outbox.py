"""The outbox on the real database: filling it, leases, fences, retries, digests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult
from notifyx_common.errors import InvalidRequest
from notifyx_store.mail import acknowledge_link, outbox, unsubscribe
from notifyx_store.mail.outbox_fill import fill_outbox, topics_behind
from notifyx_store.mail.outbox_rules import DIGEST_ITEMS
from notifyx_store.mail.results import record_results
from notifyx_store.maintenance.ledger import email_ledger
from notifyx_store.maintenance.retention import remove_batch
from support.store_database import CONFIG, NOW, Topic, new_topic


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def fill(topic: Topic, now: datetime = NOW) -> int:
    async with topic.db.acquire() as connection:
        return (await fill_outbox(connection, [topic.id], now)).rows


async def claim(
    pool: asyncpg.Pool, now: datetime = NOW, *, owner: str = "me", limit: int = 1000, lease: float = 60
) -> list[OutboxMail]:
    async with pool.acquire() as connection:
        return await outbox.lease_due(connection, CONFIG, owner=owner, limit=limit, lease=lease, now=now)


async def confirm(pool: asyncpg.Pool, mails: Sequence[OutboxMail], now: datetime = NOW, owner: str = "me") -> list[str]:
    async with pool.acquire() as connection:
        wanted = await outbox.confirm(connection, [UUID(mail.id) for mail in mails], owner=owner, now=now)
    return [str(mail) for mail in wanted]


async def tell(
    pool: asyncpg.Pool, mails: Sequence[OutboxMail], status: Any, now: datetime = NOW, owner: str = "me", **more: Any
) -> None:
    results = [(UUID(mail.id), OutboxResult(id=mail.id, status=status, **more)) for mail in mails]
    async with pool.acquire() as connection:
        await record_results(connection, results, owner=owner, now=now, policy=CONFIG.policy, jitter=lambda: 0.5)


async def test_each_mode_gets_what_it_asked_for(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, unread_after=900)
    await topic.publish(2)
    for mode in ("never", "every", "unread", "digest"):
        await topic.subscribe(mode, mode)
    await topic.publish(2)
    async with pool.acquire() as connection:
        assert await topics_behind(connection, 10) == [topic.id]
    assert await fill(topic) == 5
    assert await topic.outbox("user_id, from_seq, to_seq, state, due_at") == [
        ("digest", 3, 4, "pending", NOW.replace(minute=0, second=0) + timedelta(hours=1)),
        ("every", 3, 3, "pending", NOW),
        ("every", 4, 4, "pending", NOW),
        ("unread", 3, 3, "pending", after(900)),
        ("unread", 4, 4, "pending", after(900)),
    ]
    assert await fill(topic) == 0
    async with pool.acquire() as connection:
        assert await topics_behind(connection, 10) == []


async def test_a_mail_is_made_from_what_was_published(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    subscription = await topic.subscribe("ann", "every")
    await topic.publish()
    await fill(topic)
    [mail] = await claim(pool)
    assert mail == OutboxMail(
        id=mail.id,
        message_id=f"<{mail.id}@mail.example>",
        user="ann",
        template="notification",
        context={
            "topic": topic.name, "topic_title": "A title", "seq": 1, "title": "Title 1", "body": "body",
            "data": None, "priority": "normal", "publisher": "Ann", "published_at": "2026-03-04T05:06:07.000Z",
        },
        unsubscribe_token=unsubscribe.sign([subscription], CONFIG.secret),
        acknowledge_token=acknowledge_link.sign(UUID(mail.id), NOW + CONFIG.link_lifetime, CONFIG.secret),
        attempt=1,
    )  # fmt: skip


async def test_two_dispatchers_never_hold_the_same_mail(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    for user in range(10):
        await topic.subscribe(f"user-{user}", "every")
    await topic.publish(30)
    assert await fill(topic) == 300

    async def dispatcher(owner: str) -> list[str]:
        got: list[str] = []
        while mails := await claim(pool, owner=owner, limit=17):
            got.extend(mail.id for mail in mails)
        return got

    shares = await asyncio.gather(*(dispatcher(f"gateway-{n}") for n in range(4)))
    everything = [mail for share in shares for mail in share]
    assert len(everything) == len(set(everything)) == 300


async def test_a_lease_that_ran_out_is_due_again_under_the_same_message_id(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish()
    await fill(topic)
    [first] = await claim(pool, owner="dead gateway", lease=60)
    assert await claim(pool, after(59), owner="other") == []
    [second] = await claim(pool, after(60), owner="other")
    assert (second.id, second.message_id, second.attempt) == (first.id, first.message_id, 2)
    # What the first one says now is too late, but for one thing: that the mail did go out.
    assert await confirm(pool, [first], after(61), owner="dead gateway") == []
    await tell(pool, [first], "failed", after(61), owner="dead gateway")
    assert await confirm(pool, [second], after(61), owner="other") == [second.id]
    await tell(pool, [first], "sent", after(62), owner="dead gateway")
    await tell(pool, [second], "failed", after(63), owner="other")
    assert await topic.outbox("state, reason") == [("sent", None)]


async def test_a_lease_that_always_runs_out_is_given_up(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish()
    await fill(topic)
    attempts = [[mail.attempt for mail in await claim(pool, after(n * 60), lease=60)] for n in range(10)]
    assert attempts == [[1], [2], [3], [4], [5], [6], [7], [8], [], []]
    assert await topic.outbox("state, reason") == [("dead", "the lease ran out without a result")]


async def test_confirming_keeps_the_lease_for_the_time_of_sending(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish()
    await fill(topic)
    mails = await claim(pool, lease=60)
    assert await confirm(pool, mails, after(59)) == [mails[0].id]
    assert await claim(pool, after(61), owner="other") == []
    assert len(await claim(pool, after(59 + outbox.CONFIRM_SECONDS), owner="other")) == 1


async def test_an_acknowledgement_fences_before_the_claim_and_after_it(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish(4)
    await fill(topic)
    await topic.ack_seqs("ann", [2])
    mails = await claim(pool)
    assert [mail.context["seq"] for mail in mails] == [1, 3, 4]
    await topic.ack_up_to("ann", 3)
    assert await confirm(pool, mails) == [mails[2].id]
    assert await topic.outbox("to_seq, state, reason") == [
        (1, "fenced", "acknowledged"),
        (2, "fenced", "acknowledged"),
        (3, "fenced", "acknowledged"),
        (4, "leased", None),
    ]
    # A result for a fenced mail changes nothing.
    await tell(pool, mails[:1], "failed")
    assert (await topic.outbox("state"))[0] == ("fenced",)


async def test_acknowledgements_racing_with_dispatch_never_let_an_acknowledged_mail_through(
    pool: asyncpg.Pool,
) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish(60)
    await fill(topic)
    acknowledged: set[int] = set()

    async def acknowledge() -> None:
        for seq in range(1, 61, 2):
            await topic.ack_seqs("ann", [seq])
            acknowledged.add(seq)

    async def dispatch() -> list[int]:
        sent: list[int] = []
        while mails := await claim(pool, limit=7):
            for mail in mails:
                before = set(acknowledged)
                if await confirm(pool, [mail]):
                    assert mail.context["seq"] not in before
                    sent.append(mail.context["seq"])
                    await tell(pool, [mail], "sent")
        return sent

    _, sent = await asyncio.gather(acknowledge(), dispatch())
    assert len(sent) == len(set(sent))
    assert set(range(2, 61, 2)) <= set(sent)
    states: dict[Any, Any] = {row[0]: row[1] for row in await topic.outbox("to_seq, state")}
    assert {seq for seq, state in states.items() if state == "fenced"} == set(range(1, 61)) - set(sent)


async def test_what_expired_or_was_removed_is_fenced_with_that_reason(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "unread")
    await topic.publish(1, expires_at=after(1000))
    await topic.publish(1, expires_at=after(10))
    await fill(topic)
    async with pool.acquire() as connection:
        assert (await remove_batch(connection, topic.id, "expires_at", after(10))).removed == 1
    assert await claim(pool, after(1000)) == []
    assert await topic.outbox("to_seq, state, reason") == [(1, "fenced", "expired"), (2, "fenced", "expired")]


async def test_what_is_already_expired_is_never_due(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish(1, expires_at=after(5))
    assert await fill(topic, after(5)) == 0


async def test_leaving_or_one_click_fences_what_waits(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    for user in ("ann", "bob", "cyd"):
        await topic.subscribe(user, "every")
    await topic.publish()
    await fill(topic)
    [click] = [mail for mail in await claim(pool, lease=60) if mail.user == "bob"]
    await topic.unsubscribe("ann")
    async with pool.acquire() as connection:
        subscription = unsubscribe.verify(click.unsubscribe_token, [CONFIG.secret])
        assert await unsubscribe.switch_off(connection, subscription) == "bob"
        assert await unsubscribe.switch_off(connection, subscription) is None
        assert await unsubscribe.switch_off(connection, [2**62]) is None
    assert [mail.user for mail in await claim(pool, after(60))] == ["cyd"]
    assert await topic.outbox("user_id, state, reason") == [
        ("ann", "fenced", "unsubscribed"),
        ("bob", "fenced", "unsubscribed"),
        ("cyd", "leased", None),
    ]
    # The subscription itself stays.
    assert await pool.fetchval("SELECT count(*) FROM subscriptions WHERE ended_at IS NULL AND user_id = 'bob'") == 1


async def test_an_acknowledge_link_names_what_its_mail_is_about(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, digest_every=3600)
    await topic.subscribe("ann", "every")
    await topic.subscribe("bob", "digest")
    await topic.publish(3)
    await fill(topic)
    singles = await claim(pool)
    [digest] = [mail for mail in await claim(pool, after(3600)) if mail.template == "digest"]
    async with pool.acquire() as connection:
        for mail, user, seqs in ((singles[1], "ann", [2]), (digest, "bob", [1, 2, 3])):
            named = acknowledge_link.verify(mail.acknowledge_token, [CONFIG.secret], NOW)
            [about] = await acknowledge_link.mailed(connection, named)
            assert (about.topic_id, about.user, sorted(about.seqs)) == (topic.id, user, seqs)
        await connection.execute("DELETE FROM outbox")
        with pytest.raises(InvalidRequest, match="too old"):
            await acknowledge_link.mailed(connection, named)


def test_an_acknowledge_link_is_signed_for_one_purpose_and_ends() -> None:
    mail, secret, other = uuid4(), CONFIG.secret, SecretStr("another secret of a store")
    token = acknowledge_link.sign(mail, after(60), secret)
    assert acknowledge_link.verify(token, [secret], after(59)) == mail
    assert acknowledge_link.verify(token, [secret, other], NOW) == mail, "a secret that was replaced still counts"
    with pytest.raises(InvalidRequest, match="too old"):
        acknowledge_link.verify(token, [secret], after(60))
    unsubscribing = unsubscribe.sign([7], secret)
    later = token.replace(token.split(".")[1], str(int(after(9999).timestamp())))
    for forged in (later, token[:-1], token + "A", f"{uuid4().hex}{token[32:]}", unsubscribing, "", "a.b.c", "\0"):
        with pytest.raises(InvalidRequest, match="not valid"):
            acknowledge_link.verify(forged, [secret], NOW)
    with pytest.raises(InvalidRequest, match="not valid"):
        acknowledge_link.verify(token, [other], NOW)
    with pytest.raises(InvalidRequest):
        unsubscribe.verify(token, [secret])


async def test_a_click_in_an_old_mail_means_the_subscription_of_today(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    old = await topic.subscribe("ann", "every")
    await topic.unsubscribe("ann")
    await topic.subscribe("ann", "every")
    async with pool.acquire() as connection:
        assert await unsubscribe.switch_off(connection, [old]) == "ann"
    await topic.publish()
    assert await fill(topic) == 0


async def test_failures_back_off_and_end_in_the_dead_letter_box_with_the_last_reason(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish()
    await fill(topic)
    now, waits = NOW, []
    for attempt in range(1, 9):
        [mail] = await claim(pool, now)
        assert mail.attempt == attempt
        await tell(pool, [mail], "failed", now, reason=f"451 no {attempt}")
        [(state, reason, due)] = await topic.outbox("state, reason, due_at")
        assert reason == f"451 no {attempt}"
        if state == "pending":
            assert isinstance(due, datetime)
            assert await claim(pool, due - timedelta(milliseconds=1)) == []
            waits.append((due - now).total_seconds())
            now = due
    assert waits == [3.75, 15, 60, 240, 960, 3840, 10800]
    assert await topic.outbox("state, attempts") == [("dead", 8)]
    assert await claim(pool, now + timedelta(days=9)) == []


async def test_mail_to_a_refused_address_is_held_and_tried_one_at_a_time(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    for user in ("ann", "bob"):
        await topic.subscribe(user, "every")
    await topic.publish(3)
    await fill(topic)
    mails = sorted(await claim(pool), key=lambda mail: (mail.context["seq"], mail.user))
    assert [mail.user for mail in mails] == ["ann", "bob"] * 3
    await tell(pool, mails[:1], "refused", reason="550 5.1.1 unknown", address_refused=True)
    # What was leased before is not confirmed any more; others are not affected.
    assert await confirm(pool, mails[1:]) == [mail.id for mail in mails if mail.user == "bob"]
    assert await topic.outbox("user_id, state, reason, held") == [
        ("ann", "pending", "550 5.1.1 unknown", True), *[("ann", "pending", "address_paused", True)] * 2,
        *[("bob", "leased", None, False)] * 3,
    ]  # fmt: skip
    later = NOW + CONFIG.policy.address.interval
    first = await claim(pool, later)
    assert [mail.user for mail in first if mail.user == "ann"] == ["ann"]
    assert first[0].id != mails[0].id, "another email than the refused one goes next"
    # A dispatcher that dies with it does not keep the others for long.
    [second] = [mail for mail in await claim(pool, later + timedelta(seconds=90)) if mail.user == "ann"]
    assert await confirm(pool, [second], later + timedelta(seconds=91)) == [second.id]


async def test_while_email_is_off_mail_waits_and_no_attempt_is_lost(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    await topic.publish()
    await fill(topic)
    now = NOW
    for _ in range(20):
        [mail] = await claim(pool, now)
        assert mail.attempt == 1
        await tell(pool, [mail], "off", now)
        assert await claim(pool, now) == []
        now += timedelta(seconds=CONFIG.policy.off_delay)
    assert await topic.outbox("state, attempts, reason") == [("pending", 0, "email is off")]


async def test_a_digest_gathers_a_window_and_leaves_out_what_was_acknowledged(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, digest_every=3600)
    await topic.subscribe("ann", "digest")
    end = NOW.replace(minute=0, second=0) + timedelta(hours=1)
    await topic.publish(3)
    assert await fill(topic) == 1
    await topic.publish(3)
    assert await fill(topic, end - timedelta(seconds=1)) == 0
    await topic.publish(1)
    assert await fill(topic, end) == 1
    assert await topic.outbox("from_seq, to_seq, due_at") == [(1, 6, end), (7, 7, end + timedelta(hours=1))]
    await topic.ack_seqs("ann", [2, 5])
    assert await claim(pool, end - timedelta(seconds=1)) == []
    [digest] = await claim(pool, end)
    assert digest.template == "digest"
    assert [item["seq"] for item in digest.context["notifications"]] == [1, 3, 4, 6]
    assert (digest.context["count"], digest.context["more"]) == (4, 0)
    assert await confirm(pool, [digest], end) == [digest.id]
    await topic.ack_up_to("ann", 6)
    assert await confirm(pool, [digest], end) == []
    assert (await topic.outbox("state, reason"))[0] == ("fenced", "acknowledged")


async def test_a_large_digest_says_how_much_more_there_is(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool, digest_every=60)
    await topic.subscribe("ann", "digest")
    await topic.publish(DIGEST_ITEMS + 13, body="x" * 3000)
    await fill(topic)
    [digest] = await claim(pool, after(60))
    assert [item["seq"] for item in digest.context["notifications"]] == list(range(1, DIGEST_ITEMS + 1))
    assert (digest.context["count"], digest.context["more"]) == (DIGEST_ITEMS + 13, 13)


async def test_what_comes_while_a_digest_is_being_sent_goes_into_the_next_one(pool: asyncpg.Pool) -> None:
    """A replica whose clock is behind still fills a window that another one has begun to send."""
    topic = await new_topic(pool, digest_every=60)
    await topic.subscribe("ann", "digest")
    await topic.publish()
    await fill(topic)
    [digest] = await claim(pool, after(60))
    await topic.publish()
    assert await fill(topic, NOW) == 1
    await tell(pool, [digest], "sent", after(60))
    [second] = await claim(pool, after(200))
    assert [item["seq"] for item in second.context["notifications"]] == [2]
    assert await topic.outbox("from_seq, to_seq, state") == [(1, 1, "sent"), (2, 2, "leased")]


async def test_a_crowd_is_written_in_bounded_steps(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    for user in range(5):
        await topic.subscribe(f"user-{user}", "every")
    await topic.publish(10)
    written = []
    async with pool.acquire() as connection:
        while True:
            done = await fill_outbox(connection, [topic.id], NOW, rows=12)
            written.append(done.rows)
            if not done.unfinished:
                break
    assert written == [10] * 5


async def test_a_busy_topic_is_left_for_the_next_round_and_holds_up_nobody(pool: asyncpg.Pool) -> None:
    busy, calm = await new_topic(pool), await new_topic(pool)
    for topic in (busy, calm):
        await topic.subscribe("ann", "every")
        await topic.publish()
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended($1::uuid::text, 0))", busy.id)
        async with pool.acquire() as connection:
            done = await fill_outbox(connection, [busy.id, calm.id], NOW)
    assert (done.rows, done.unfinished) == (1, frozenset({busy.id}))
    assert await fill(busy) == 1


async def test_replicas_filling_at_the_same_time_write_every_mail_once(pool: asyncpg.Pool) -> None:
    topics = [await new_topic(pool) for _ in range(3)]
    for topic in topics:
        for user in range(4):
            await topic.subscribe(f"user-{user}", "every" if user % 2 else "digest")

    async def replica() -> None:
        for _ in range(25):
            async with pool.acquire() as connection:
                await fill_outbox(connection, [topic.id for topic in topics], NOW)

    async def publisher(topic: Topic) -> None:
        for _ in range(20):
            await topic.publish(2)

    await asyncio.gather(replica(), replica(), *(publisher(topic) for topic in topics))
    for topic in topics:
        await fill(topic)
        rows = await topic.outbox("user_id, from_seq, to_seq")
        assert rows == [
            *(("user-0", 1, 40),),
            *(("user-1", seq, seq) for seq in range(1, 41)),
            *(("user-2", 1, 40),),
            *(("user-3", seq, seq) for seq in range(1, 41)),
        ]
    async with pool.acquire() as connection:
        email = await email_ledger(connection, NOW)
    assert email.balanced
    assert email.ledger.due == 3 * (2 * 40 + 2)
