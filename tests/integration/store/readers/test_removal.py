"""What the store holds of a deleted user is removed, in pieces, and what others hold stays as it was."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
import pytest

from notifyx_common.principal import Principal, system_principal
from support.patience import until
from support.store import StoreClient, user

PLATFORM = system_principal("gateway")
ADA, BOB, EVE = (
    user(name, email=f"{name}@example.com", email_verified=True, kind="user") for name in ("ada", "bob", "eve")
)
TRICKY = 'An end: ","publisher":{"id":"ada","name":"Ada"},"published_at":"x","expires_at":null}'


async def make(store: StoreClient, owner: Principal, name: str, **settings: Any) -> None:
    await store.ok("POST", "/topics", owner, {"name": name, **settings})


async def remove(store: StoreClient, *, topics: str = "keep", give_to: str = "", rewrite: bool = True) -> int:
    """Remove Ada; return the number of pieces."""
    pieces, after, done = 0, "", False
    while not done:
        body = {
            "topics": topics, "give_to": give_to, "email": "Ada@example.com", "rewrite": rewrite, "after": after
        }  # fmt: skip
        piece = await store.ok("POST", "/users/ada/removal", PLATFORM, body)
        pieces, after, done = pieces + 1, piece["after"], piece["done"]
    return pieces


@pytest.fixture
async def connection(database: str) -> Any:
    found = await asyncpg.connect(database)
    yield found
    await found.close()


@pytest.mark.parametrize("fate", ["delete", "keep", "give"])
async def test_topics_that_are_the_users_alone_have_the_fate_that_was_chosen(
    store: StoreClient, connection: asyncpg.Connection, fate: str
) -> None:
    await make(store, ADA, "alone", visibility="private", readers=["bob", "ada@example.com"], publishers=["ada", "*"])
    await make(store, ADA, "shared")
    await store.ok("PUT", "/topics/shared/subscription", BOB, {})
    await store.ok("PATCH", "/topics/shared", ADA, {"creators": ["ada@example.com", "bob"]})
    await store.call("DELETE", "/topics/shared/subscription", BOB)
    await make(store, BOB, "bobs", publishers=["ADA@example.com", "eve"])
    resource = {"resource": "shop/declared", "uid": "1", "owners": ["ada"], "publishers": ["ada"]}
    await store.ok("PUT", "/topics/declared/resource", system_principal("operator"), resource)
    await store.ok("PUT", "/topics/alone/subscription", BOB, {})
    await make(store, ADA, "unwanted")
    await store.ok("PATCH", "/topics/unwanted", ADA, {"publishers": ["eve"], "readers": ["eve"]})
    await store.ok("PATCH", "/topics/alone", ADA, {"readers": ["bob", "ada@example.com", "eve"]})
    await store.ok("PUT", "/topics/alone/subscription", EVE, {})
    await remove(store, topics=fate, give_to="eve")
    counted = await connection.fetchval("SELECT count(*) FROM topics WHERE created_by IN ('ada', 'eve')")
    assert counted == 0, "what one is given takes no place of what one may create"
    admin = PLATFORM
    shared = await store.ok("GET", "/topics/shared", admin)
    assert shared["creators"] == ["bob"], "a topic with other creators is theirs"
    assert (await store.ok("GET", "/topics/bobs", admin))["publishers"] == ["eve"]
    declared = await store.ok("GET", "/topics/declared", admin)
    assert (declared["creators"], declared["publishers"]) == (["ada"], ["ada"]), "its resource says who they are"
    status, alone = await store.call("GET", "/topics/alone", admin)
    if fate == "delete":
        assert status == 404
        assert [one["topic"] for one in (await store.ok("GET", "/subscriptions", BOB))["items"]] == ["user:bob"]
        return
    assert (alone["creators"], alone["readers"], alone["publishers"]) == (
        ["eve"] if fate == "give" else [],
        ["bob", "eve"],
        ["*"],
    )
    unwanted = await store.ok("GET", "/topics/unwanted", admin)
    assert (unwanted["creators"], unwanted["publishers"]) == ([], ["eve"]), "Eve has nothing to do with it"
    assert "alone" in [one["topic"] for one in (await store.ok("GET", "/subscriptions", BOB))["items"]]


async def test_nothing_of_the_user_is_left_and_the_ledgers_balance(
    store: StoreClient, connection: asyncpg.Connection
) -> None:
    await make(store, BOB, "plans", publishers=["*"])
    await make(store, ADA, "mine", publishers=["*"])
    await store.make_inbox("ada", "bob")
    for who, topic, mode in ((ADA, "plans", "every"), (BOB, "plans", "every"), (ADA, "mine", "digest")):
        await store.ok("PUT", f"/topics/{topic}/subscription", who, {"email": mode})
    sent = {"title": TRICKY, "body": TRICKY, "data": {"publisher": {"id": "ada", "name": "Ada"}, "n": 1e2, "m": "1.0"}}
    await store.publish(ADA, *({"topic": topic, "key": topic, **sent} for topic in ("plans", "mine", "user:bob")))
    await store.publish(BOB, {"topic": "plans", **sent}, {"topic": "user:ada", **sent})
    await store.ack(ADA, "plans", seqs=[1])
    await until(lambda: connection.fetchval("SELECT count(*) > 0 FROM outbox WHERE user_id = 'ada'"), "email is due")
    before = await store.ok("GET", "/topics/plans/notifications?after=0", BOB)

    await remove(store, rewrite=False)
    assert await store.ok("GET", "/topics/plans/notifications?after=0", BOB) == before
    pieces = await remove(store)
    assert await remove(store) <= pieces, "it may be repeated"

    assert (await store.call("GET", "/topics/user:ada", PLATFORM))[0] == 404
    for table, column in (
        ("subscriptions", "user_id"),
        ("outbox", "user_id"),
        ("idempotency", "publisher"),
        ("notifications", "publisher_id"),
        ("topics", "created_by"),
    ):
        assert await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = 'ada'") == 0, table
    assert await connection.fetchval("SELECT count(*) FROM ack_exceptions") == 0
    after = await store.ok("GET", "/topics/plans/notifications?after=0", BOB)
    first, second = before["items"]
    assert after["items"] == [{**first, "publisher": {"id": "", "name": "Deleted user"}}, second]
    assert (await store.ok("GET", "/topics/user:bob/notifications", BOB))["items"][0]["publisher"]["id"] == ""
    raw = await connection.fetchval("SELECT payload FROM notifications n WHERE seq = 1 AND payload LIKE '%plans%'")
    assert orjson.dumps(orjson.loads(raw)).decode() == raw, "but for its author, not a byte has changed"
    assert (await store.ok("GET", "/ledger", PLATFORM))["balanced"]


async def test_what_a_user_has_published_is_read_in_pages(store: StoreClient) -> None:
    await make(store, ADA, "mine")
    await make(store, BOB, "bobs", publishers=["*"])
    large = "x" * 60_000
    for topic in ("mine", "bobs"):
        await store.publish(ADA, *({"topic": topic, "body": large} for _ in range(10)))
    await store.publish(BOB, *({"topic": "bobs", "body": "theirs"} for _ in range(10)))
    found, after, pages = [], "", 0
    while after is not None:
        page = await store.ok("GET", "/published", ADA, params={"after": after})
        found += [(one["topic"], one["seq"]) for one in page["items"]]
        after, pages = page["next"], pages + 1
    assert sorted(found) == sorted((topic, seq) for topic in ("mine", "bobs") for seq in range(1, 11))
    assert pages > 2, "a page has a size"
    for wrong in ("x", "00000000-0000-0000-0000-000000000000:x", f"00000000-0000-0000-0000-000000000000:{2**64}"):
        assert (await store.call("GET", "/published", ADA, params={"after": wrong}))[0] == 400
