"""What is taken from users before they have read it, and what is sent to users who do not exist."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.errors import Unavailable
from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.patience import PATIENCE
from support.store import StoreClient, running_store, store_settings, user

ANN, BOB = user("ann"), user("bob")


@pytest.fixture
async def store(store_database: str) -> AsyncIterator[StoreClient]:
    """A store whose inboxes hold five, and whose retention is quick."""
    async with running_store(
        store_settings(store_database, inbox_max_unread=5, retention_every=0.05, expiry_every=0.05)
    ) as running:
        yield running


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        yield running


async def test_what_retention_took_unread_is_told_wherever_unread_is_shown(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news", "retention": {"max_count": 1}})
    await store.ok("PUT", "/topics/news/subscription", BOB, {})
    await store.publish(ANN, *({"topic": "news", "title": str(n)} for n in range(5)))
    async with asyncio.timeout(PATIENCE):
        while (joined := await store.join(BOB, "news"))["unread"] != 1:
            await asyncio.sleep(0.02)
    assert joined["expired"] == 4
    assert (await store.ok("GET", "/topics/news/subscription", BOB))["expired"] == 4
    assert [one["expired"] for one in (await store.ok("GET", "/subscriptions", BOB))["items"]] == [4, 0]
    assert (await store.ok("GET", "/inbox", BOB))["expired"] == {"news": 4}
    counted = await store.ok("POST", "/unread", None, {"items": [{"user": "bob", "topic": "news"}]})
    assert counted["results"][0]["expired"] == 4
    [row] = [row for row in (await store.ok("GET", "/ledger", user("root", role="admin")))["topics"]
             if row["topic"] == "news"]  # fmt: skip
    assert (row["due"], row["expired"], row["pending"]) == (5, 4, 1)
    assert (await store.ack(BOB, "news", seqs=[5]))["expired"] == 4, "who has read one has not been told of the others"
    assert (await store.ack(BOB, "news", up_to=5))["expired"] == 0


async def test_a_stranger_fills_an_inbox_and_takes_nothing_from_it(store: StoreClient, store_database: str) -> None:
    await store.make_inbox("ann")
    friend = (await store.publish(BOB, {"topic": "user:ann", "title": "from a friend"}))[0]
    assert friend["seq"] == 1
    flood = await store.publish(user("stranger"), *({"topic": "user:ann", "title": "spam"} for _ in range(20)))
    assert [one.get("seq", one.get("code")) for one in flood] == [2, 3, 4, 5] + ["inbox_full"] * 16
    assert {one["status"] for one in flood[4:]} == {409}

    async def inbox() -> Any:
        return await store.ok("GET", "/inbox", ANN)

    full = await inbox()
    assert (full["inbox_full"], full["unread"], full["expired"]) == (True, {"user:ann": 5}, {})
    assert full["items"][-1]["title"] == "from a friend"

    # The bound of the log: what is read makes room, and only that, also where the oldest stays unread.
    connection = await asyncpg.connect(store_database)
    await connection.execute("UPDATE topics SET retention_max_count = 3 WHERE name = 'user:ann'")
    await store.ack(ANN, "user:ann", seqs=[2])
    async with asyncio.timeout(PATIENCE):
        while len((await inbox())["items"]) > 4:
            await asyncio.sleep(0.02)
    held = await inbox()
    assert ([item["seq"] for item in held["items"]], held["expired"]) == ([5, 4, 3, 1], {})
    assert (await store.publish(BOB, {"topic": "user:ann", "title": "x"}))[0]["code"] == "inbox_full"
    await store.ack(ANN, "user:ann", up_to=4)
    assert not (await inbox())["inbox_full"]
    again = await store.publish(BOB, *({"topic": "user:ann", "title": "x"} for _ in range(3)))
    assert [one.get("seq", one.get("code")) for one in again] == [6, 7, "inbox_full"]
    await connection.close()


async def test_nothing_is_accepted_for_nobody(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    bob_id = await stack.id_of("bob")
    body = {"title": "x"}
    nobody = str(uuid.uuid4())
    for path, status in (
        (f"/topics/user:{nobody}/notifications", 404),
        (f"/users/{nobody}/notifications", 404),
        (f"/topics/user:{bob_id.upper()}/notifications", 404),
        ("/topics/user:bob/notifications", 404),
        ("/topics/user:system:serviceaccount:a:b/notifications", 404),
        (f"/topics/user:{bob_id}/notifications", 201),
        ("/topics/user:me/notifications", 201),
    ):
        assert (await stack.call("POST", path, ada, json=body)).status == status, path
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    reply = await stack.call(
        "POST", f"/topics/user:{nobody}/notifications", ada, json=event,
        headers={"Content-Type": "application/cloudevents+json"},
    )  # fmt: skip
    assert (reply.status, reply.code) == (404, "user_not_found")
    topics = ["user:me", f"user:{nobody}", f"user:{bob_id}", f"user:{bob_id.upper()}", f"user:{bob_id}"]
    items = (
        await stack.ok("POST", "/notifications:batch", ada, json={"items": [{"topic": one, **body} for one in topics]})
    )["items"]
    assert [item.get("topic", item.get("code")) for item in items] == [
        f"user:{await stack.id_of('ada')}", "user_not_found", f"user:{bob_id}", "validation_failed", f"user:{bob_id}",
    ]  # fmt: skip
    assert [item["seq"] for item in items if item["status"] == 201] == [2, 2, 3]
    assert [item["seq"] for item in (await stack.ok("GET", "/inbox", bob))["items"]] == [3, 2, 1]


async def test_known_inboxes_need_no_auth_and_unknown_ones_are_refused_without_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await stack.person("ada")
    bob_id, eve_id = await stack.id_of("bob"), await stack.id_of("eve")
    path = "/topics/user:{}/notifications"
    await stack.ok("POST", path.format(bob_id), ada, json={"title": "x"})
    asked = 0

    async def away(*_: object, **__: object) -> dict[str, ResolvedUser]:
        nonlocal asked
        asked += 1
        raise Unavailable("auth is away")

    monkeypatch.setattr(stack.gateway.auth, "resolve", away)
    for _ in range(5):
        await stack.ok("POST", path.format(bob_id), ada, json={"title": "x"})
    assert asked == 0, "a known recipient costs no call"
    reply = await stack.call("POST", path.format(eve_id), ada, json={"title": "x"})
    assert (reply.status, asked) == (503, 1)

    forgetful = type(stack.gateway.recipients)(stack.gateway.users, stack.gateway.store, clock=stack.gateway.clock)
    rejected = await forgetful.rejected(user("ada"), [f"user:{bob_id}", f"user:{eve_id}", "news"])
    assert {topic: error.code for topic, error in rejected.items()} == {f"user:{eve_id}": "unavailable"}


async def test_a_list_that_names_nobody_is_not_saved(stack: Stack) -> None:
    ada, bob_id = await stack.person("ada"), await stack.id_of("bob")
    fine = [bob_id, "someone@example.com", "system:serviceaccount:shop:till", "*"]
    await stack.ok("POST", "/topics", ada, json={"name": "plans", "publishers": fine, "readers": fine})
    for wrong in (str(uuid.uuid4()), "bob", bob_id.upper()):
        for method, path, body in (
            ("POST", "/topics", {"name": "more", "publishers": [bob_id, wrong]}),
            ("PATCH", "/topics/plans", {"readers": [wrong]}),
            ("PATCH", "/topics/plans", {"creators": [wrong]}),
        ):
            reply = await stack.call(method, path, ada, json=body)
            assert (reply.status, reply.code) == (400, "validation_failed"), (path, body)
            assert f"There is no user '{wrong}'" in reply.data["detail"]
    for unreachable in ("someone@example", "some(one@example.com", "@example.com"):
        reply = await stack.call("PATCH", "/topics/plans", ada, json={"publishers": ["*", unreachable]})
        assert (reply.status, reply.data["errors"][0]["field"]) == (400, "publishers")
        assert f"'{unreachable}' is no email address." in reply.data["detail"]
    assert (await stack.call("GET", "/topics/more", ada)).status == 404
