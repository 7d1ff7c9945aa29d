"""Floods of one account: what it may do in a short time, and that nobody else is slowed down by it."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg

from notifyx_common.calls.silence import TICK
from notifyx_common.contracts.store.outbox import OutboxMail, OutboxResult
from notifyx_common.limiting.buckets import Bucket
from notifyx_common.principal import Principal
from notifyx_gateway.settings import GatewaySettings
from notifyx_local.postgres import Cluster
from notifyx_store.mail import outbox
from notifyx_store.mail.inbox_limits import InboxLimits
from notifyx_store.mail.outbox_fill import fill_outbox
from notifyx_store.mail.results import record_results
from support.gateway import Reply, Stack, running_stack
from support.store import running_store, store_settings
from support.store_database import CONFIG, NOW, Topic, new_topic

MESSAGE = {"title": "t", "body": "b"}
SLOW = 3600.0
"""Seconds until a bucket has one more: none while a slow machine works."""


async def statuses(stack: Stack, path: str, who: str, times: int) -> list[Reply]:
    return await asyncio.gather(*(stack.call("POST", path, who, json=MESSAGE) for _ in range(times)))


def honest(reply: Reply, limit: str) -> None:
    """Check that a 429 says when the limit ends, in every form."""
    assert (reply.status, reply.code) == (429, "rate_limited")
    assert reply.data["limit"]["name"] == limit
    assert int(reply.headers["Retry-After"]) == math.ceil(reply.data["retry_after"])
    assert reply.headers["RateLimit"].startswith(f'"{limit}";r=0;t=')
    assert reply.headers["RateLimit-Policy"].startswith(f'"{limit}";q=')


async def test_a_stranger_puts_few_messages_into_an_inbox_and_its_friends_notice_nothing(postgres: Cluster) -> None:
    limits = {"direct_unverified_interval": SLOW, "direct_to_one_unverified_interval": SLOW}
    async with running_stack(postgres, gateway=limits) as stack:
        stranger, friend, victim = [await stack.person(name) for name in ("stranger", "friend", "victim")]
        target = f"/users/{await stack.id_of('victim')}/notifications"
        replies = await statuses(stack, target, stranger, 60)
        assert Counter(reply.status for reply in replies) == {201: 10, 429: 50}
        refused = next(reply for reply in replies if reply.status == 429)
        honest(refused, "direct-messages-to-one-unverified")
        assert "once your address is verified" in refused.data["detail"]
        items = [{"topic": f"user:{await stack.id_of('victim')}", **MESSAGE}] * 30
        batch = (await stack.ok("POST", "/notifications:batch", stranger, json={"items": items}))["items"]
        assert {item["status"] for item in batch} == {429}
        assert all(item["retry_after"] > 0 for item in batch)
        others = [f"/users/{await stack.id_of(f'other{n}')}/notifications" for n in range(3)]
        for n in range(3):
            await stack.person(f"other{n}")
        passed = [reply.status for path in others for reply in await statuses(stack, path, stranger, 10)]
        assert passed.count(201) == 10, "20 in all"
        assert (await stack.call("POST", target, friend, json=MESSAGE)).status == 201
        assert (await stack.ok("GET", "/inbox", victim))["unread"].popitem()[1] == 11
        own = await statuses(stack, "/users/me/notifications", stranger, 60)
        assert {reply.status for reply in own} == {201}, "one's own inbox"


async def test_many_strangers_together_put_few_messages_into_an_inbox(postgres: Cluster) -> None:
    limits = {
        "direct_unverified_to_one_total_burst": 6,
        "direct_unverified_to_one_total_interval": SLOW,
        "direct_to_one_unverified_burst": 2,
        "direct_to_one_unverified_interval": SLOW,
    }
    async with running_stack(postgres, gateway=limits) as stack:
        victim, *strangers = [await stack.person(name) for name in ("victim", *map(str, range(5)))]
        inbox = await stack.id_of("victim")
        target = f"/users/{inbox}/notifications"
        replies = [reply for who in strangers for reply in await statuses(stack, target, who, 3)]
        passed = Counter(reply.status for reply in replies)
        assert passed == {201: 6, 429: 9}
        honest(replies[-3], "direct-messages-unverified-to-one-total")
        assert (await stack.ok("GET", "/inbox", victim))["unread"].popitem()[1] == 6
        elsewhere = f"/users/{await stack.id_of('other')}/notifications"
        assert (await stack.call("POST", elsewhere, strangers[-1], json=MESSAGE)).status == 201
        friend = Principal(id="friend", email="friend@example.com", email_verified=True)
        await stack.gateway.limits.direct_message(friend, inbox)


async def test_topics_are_created_at_a_bounded_rate_and_number_and_one_publishes_to_them_freely(
    postgres: Cluster,
) -> None:
    limits = {"topic_burst": 5, "topic_interval": SLOW, "publish_burst": 500, "publish_rate": 4.0}
    async with running_stack(postgres, gateway=limits) as stack:
        squatter = await stack.person("squatter")
        created = await asyncio.gather(
            *(stack.call("POST", "/topics", squatter, json={"name": f"flood.{n}"}) for n in range(40))
        )
        assert Counter(reply.status for reply in created) == {201: 5, 429: 35}
        honest(next(reply for reply in created if reply.status == 429), "topics")
        assert (await stack.call("POST", "/topics", await stack.person("ada"), json={"name": "mine"})).status == 201
        name = next(reply.data["name"] for reply in created if reply.status == 201)
        items = [{"topic": name, "body": "b"}] * 500
        batch = await stack.ok("POST", "/notifications:batch", squatter, json={"items": items})
        assert {item["status"] for item in batch["items"]} == {201}, "a burst passes at once"
        batch = await stack.ok("POST", "/notifications:batch", squatter, json={"items": items})
        states = Counter(item["status"] for item in batch["items"])
        assert set(states) == {201, 429}, "beyond it a request waits for what comes within half a second"
        assert 2 <= states[201] < 400
        refused = await stack.call("POST", f"/topics/{name}/notifications", squatter, json={"body": "b"})
        if refused.status == 429:
            honest(refused, "publishes")


async def make_inbox(pool: asyncpg.Pool, unread_after: int = 0) -> Topic:
    """The inbox of a user who is mailed about every message that is not acknowledged."""
    topic = await new_topic(pool, unread_after=unread_after)
    await pool.execute("UPDATE topics SET kind = 'inbox', name = 'user:' || id WHERE id = $1", topic.id)
    await topic.subscribe("victim", "unread")
    return topic


async def written_by(topic: Topic, sender: str, count: int) -> None:
    last = await topic.publish(count)
    async with topic.db.acquire() as connection:
        await connection.execute(
            "UPDATE notifications SET publisher_id = $1 WHERE topic_id = $2 AND seq > $3",
            sender,
            topic.id,
            last - count,
        )
        await fill_outbox(connection, [topic.id], NOW)


FEW = replace(CONFIG, inbox=InboxLimits(by_sender=10, in_total=15))


async def mailed(pool: asyncpg.Pool, hours: float) -> list[OutboxMail]:
    """What a dispatcher sends in the minute after so many hours."""
    now = NOW + timedelta(hours=hours)
    async with pool.acquire() as connection:
        mails: list[OutboxMail] = []
        while more := await outbox.lease_due(connection, FEW, owner="me", limit=40, lease=60, now=now):
            mails += more
        sent = [(UUID(mail.id), OutboxResult(id=mail.id, status="sent")) for mail in mails]
        await record_results(connection, sent, owner="me", now=now, policy=CONFIG.policy)
    return mails


async def test_one_sender_makes_few_mails_an_hour_due_and_none_is_lost(pool: asyncpg.Pool) -> None:
    inbox = await make_inbox(pool)
    await written_by(inbox, "stranger", 100)
    await written_by(inbox, "friend", 2)
    assert len(await mailed(pool, 0)) == 12, "ten of the stranger, and those of the friend"
    assert len(await mailed(pool, 0.01)) == 0
    total, hours = 12, 0.0
    while hours < 12:
        hours += 0.25
        total += len(await mailed(pool, hours))
        assert total <= 2 + 10 * (hours + 1)
    assert total == 102, "what was over the limit waited"
    await written_by(inbox, "stranger", 20)
    await inbox.ack_seqs("victim", range(103, 123))
    assert len(await mailed(pool, 20)) == 0, "what was read meanwhile needs no mail"
    for sender in range(5):
        await written_by(inbox, f"stranger {sender}", 10)
    assert len(await mailed(pool, 21)) == 15, "in total"


async def test_a_topic_mails_as_its_subscribers_chose(pool: asyncpg.Pool) -> None:
    topic = await new_topic(pool)
    await topic.subscribe("reader", "every")
    await written_by(topic, "monitoring", 60)
    assert len(await mailed(pool, 0)) == 60


async def test_a_user_has_a_bounded_number_of_topics_and_services_as_many_as_they_need(store_database: str) -> None:
    async with running_store(store_settings(store_database, max_topics=3)) as store:

        async def create(name: str, who: Principal) -> tuple[int, str]:
            status, answer = await store.call("POST", "/topics", who, {"name": name})
            return status, answer.get("code", "")

        ada, bob = Principal(id="ada"), Principal(id="bob")
        assert [await create(f"t{n}", ada) for n in range(4)] == [(201, "")] * 3 + [(409, "too_many_topics")]
        shared = {"creators": ["ada", "bob"]}
        await store.ok("PUT", "/topics/t0/subscription", bob, {})
        assert (await store.call("PATCH", "/topics/t0", ada, shared))[0] == 200
        assert [await create(f"b{n}", bob) for n in range(3)] == [(201, "")] * 3, "those of others do not count"
        assert (await store.call("DELETE", "/topics/t1", ada))[0] == 204
        assert await create("again", ada) == (201, "")
        root = Principal(id="root", role="admin")
        assert [await create(f"r{n}", root) for n in range(5)] == [(201, "")] * 5


async def test_a_user_has_a_bounded_number_of_subscriptions(store_database: str) -> None:
    """All of them are read at once: ten thousand made each read of an account's take 70 ms of a store."""
    async with running_store(store_settings(store_database, max_subscriptions=3)) as store:
        ada, root = Principal(id="ada"), Principal(id="root", role="admin")
        for number in range(5):
            await store.ok("POST", "/topics", ada, {"name": f"t{number}"})

        async def subscribe(number: int, who: Principal) -> tuple[int, str]:
            status, answer = await store.call("PUT", f"/topics/t{number}/subscription", who, {"email": "never"})
            return status, answer.get("code", "")

        assert [await subscribe(n, ada) for n in range(4)] == [(200, "")] * 3 + [(409, "too_many_subscriptions")]
        assert await subscribe(0, ada) == (200, ""), "one that is there changes"
        assert (await store.call("DELETE", "/topics/t0/subscription", ada))[0] == 204
        assert await subscribe(3, ada) == (200, "")
        assert [await subscribe(n, root) for n in range(5)] == [(200, "")] * 5


async def test_nobody_is_made_to_manage_what_they_never_chose(store_database: str) -> None:
    bob = Principal(id="bob", email="bob@example.com", email_verified=True)
    ada, root = Principal(id="ada"), Principal(id="root", role="admin")
    async with running_store(store_settings(store_database)) as store:
        await store.ok("POST", "/topics", ada, {"name": "plot"})

        async def name(who: Principal, *creators: str) -> int:
            return (await store.call("PATCH", "/topics/plot", who, {"creators": list(creators)}))[0]

        machine = "system:serviceaccount:shop:orders"
        assert await name(ada, "ada", machine) == 200, "a service has no wish of its own"
        for named in ("bob", "bob@example.com"):
            assert await name(ada, "ada", named) == await name(ada, named) == 400
            await store.ok("PUT", "/topics/plot/subscription", bob, {})
            assert await name(ada, "ada", named) == 200
            assert await name(ada, "ada") == 200
            await store.ok("DELETE", "/topics/plot/subscription", bob)
            assert await name(ada, "ada", named) == 400, "what has ended is no consent"
        assert await name(root, "bob") == 200, "an administrator answers for whom they appoint"
        assert await name(bob, "bob", "bob@example.com") == 200, "everybody may name themselves in another way"


async def test_one_address_asks_for_the_dashboard_so_often_and_others_still_see_it(postgres: Cluster) -> None:
    limits = {"dashboard_burst": 3, "dashboard_interval": SLOW}
    async with running_stack(postgres, gateway=limits) as stack:

        async def shown(path: str, address: str) -> Reply:
            return await stack.call("GET", path, headers={"X-Forwarded-For": address})

        paths, script = ("/dashboard", "/dashboard/live", "/dashboard/state"), "/dashboard/dashboard.js"
        first = [await shown(path, "203.0.113.1") for path in (script, *paths)]
        assert [reply.status for reply in first] == [200] * 4
        assert first[1].headers["RateLimit"].startswith('"dashboard";r=2;t=')
        for path in paths:
            honest(await shown(path, "203.0.113.1"), "dashboard")
        assert (await shown(script, "203.0.113.1")).status == 200, (
            "a page without its script stands still, and says nothing"
        )
        browser = {"Accept": "text/html,*/*;q=0.8", "X-Forwarded-For": "203.0.113.1"}
        async with stack.session.get(f"{stack.url}/dashboard", headers=browser) as response:
            assert (response.status, response.content_type, response.headers["Vary"]) == (429, "text/html", "Accept")
            assert int(response.headers["Retry-After"]) > 0
            assert response.headers["RateLimit"].startswith('"dashboard";r=0;t=')
            text = await response.text()
        assert ("asks for the dashboard too often" in text, '<a href="">Try again</a>' in text) == (True, True), text
        assert (await shown("/dashboard", "203.0.113.2")).status == 200
        assert (await stack.call("GET", "/topics")).status == 401, "nothing else is limited"


async def test_the_dashboards_page_never_meets_its_limit() -> None:
    settings = GatewaySettings(internal_token="t" * 32)
    bucket, now, full_at = Bucket(settings.dashboard_burst, settings.dashboard_interval), 0.0, 0.0
    pages = 10
    for _ in range(2000):  # each asks anew 75 ms after an answer, and there may be news with each look at the nodes
        now += (TICK + 0.075) / pages
        assert not bucket.wait(full_at, now)
        full_at = bucket.after(full_at, now)
