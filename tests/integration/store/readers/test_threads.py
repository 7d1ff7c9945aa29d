"""Direct messages as threads on PostgreSQL: both sides, nobody else, and nothing that is gone."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import asyncpg

from notifyx_common.principal import Principal, system_principal
from notifyx_store.maintenance.purge import purge_piece
from notifyx_store.maintenance.retention import remove_batch
from support.store import StoreClient, user

PLATFORM = system_principal("gateway")
ADA, BOB, EVE = (user(name) for name in ("ada", "bob", "eve"))


async def send(store: StoreClient, sender: Principal, to: str, *bodies: str) -> None:
    """Send direct messages, each in a batch of its own."""
    for body in bodies:
        [result] = await store.publish(sender, {"topic": f"user:{to}", "body": body})
        assert "seq" in result, result


async def lines(store: StoreClient, reader: Principal, other: str, limit: int = 50) -> list[tuple[str, bool, Any]]:
    """Return a whole thread, oldest first, read page by page."""
    found: list[tuple[str, bool, Any]] = []
    after = ""
    while True:
        page = await store.ok("GET", f"/threads/{other}?limit={limit}{after}", reader)
        assert len(page["items"]) <= limit
        found = [(one["body"], one["sent"], one["acked"]) for one in page["items"]] + found
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


async def people(store: StoreClient, reader: Principal, limit: int = 50) -> list[tuple[str, str, bool, int]]:
    """Return all threads: who, the latest line, whether it is the reader's own, how many are unread."""
    found: list[tuple[str, str, bool, int]] = []
    after = ""
    while True:
        page = await store.ok("GET", f"/threads?limit={limit}{after}", reader)
        assert len(page["items"]) <= limit
        found += [(one["user"], one["latest"]["text"], one["latest"]["sent"], one["unread"]) for one in page["items"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


async def test_both_see_both_sides_and_a_third_sees_nothing(store: StoreClient) -> None:
    await store.make_inbox("ada", "bob", "eve")
    await send(store, ADA, "bob", "one", "two")
    await send(store, BOB, "ada", "three")
    await send(store, EVE, "ada", "elsewhere")
    await send(store, ADA, "ada", "a note")
    await send(store, ADA, "bob", "four")
    await store.ack(BOB, "user:bob", seqs=[2])
    await store.ok("POST", "/topics", ADA, {"name": "news"})
    await store.publish(ADA, {"topic": "news", "body": "not direct"})
    expected = [("one", True, None), ("two", True, None), ("three", False, False), ("four", True, None)]
    for limit in (1, 3, 50):
        assert await lines(store, ADA, "bob", limit) == expected, limit
    assert await lines(store, BOB, "ada") == [
        ("one", False, False), ("two", False, True), ("three", True, None), ("four", False, False)
    ]  # fmt: skip
    assert await lines(store, ADA, "ada") == [("a note", True, False)], "once"
    assert await lines(store, EVE, "bob") == []
    assert await lines(store, EVE, "eve") == []
    for limit in (1, 50):
        assert await people(store, ADA, limit) == [
            ("bob", "four", True, 1), ("ada", "a note", True, 1), ("eve", "elsewhere", False, 1)
        ], limit  # fmt: skip
    assert await people(store, BOB) == [("ada", "four", False, 2)]
    assert await people(store, EVE) == [("ada", "elsewhere", True, 0)]
    assert (await store.call("GET", "/threads", Principal(id="ada", scopes=frozenset({"publish"}))))[0] == 403
    assert (await store.call("GET", "/threads/bob?after=x", ADA))[0] == 400


async def test_an_upgrade_lists_what_inboxes_hold(store: StoreClient, database: str) -> None:
    await store.make_inbox("ada", "bob")
    await send(store, ADA, "bob", "before")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("DELETE FROM direct_messages")
        assert await lines(store, ADA, "bob") == []
        await connection.execute(import_module("notifyx_store.migrations.0012_direct_messages").TABLES[-1])
    finally:
        await connection.close()
    assert await lines(store, ADA, "bob") == [("before", True, None)]


async def test_what_retention_removes_leaves_the_thread_of_both(store: StoreClient, database: str) -> None:
    await store.make_inbox("ada", "bob")
    await send(store, ADA, "bob", "old", "new")
    await send(store, BOB, "ada", "answer")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "UPDATE notifications SET published_at = published_at - interval '1 year' "
            "WHERE publisher_id = 'ada' AND seq = 1"
        )
        topic, now = await connection.fetchrow("SELECT id, now() FROM topics WHERE name = 'user:bob'")
        await remove_batch(connection, topic, "retention", now + timedelta(seconds=1))
        assert await connection.fetchval("SELECT count(*) FROM direct_messages") == 2
    finally:
        await connection.close()
    assert await lines(store, ADA, "bob") == [("new", True, None), ("answer", False, False)]
    assert [one[0] for one in await lines(store, BOB, "ada")] == ["new", "answer"]


async def delete(store: StoreClient, *users: str) -> None:
    """Remove what the store holds of users whose accounts are deleted, to the end."""
    for one in users:
        after, done = "", False
        while not done:
            body = {"topics": "keep", "give_to": "", "email": "", "rewrite": True, "after": after}
            piece = await store.ok("POST", f"/users/{one}/removal", PLATFORM, body)
            after, done = piece["after"], piece["done"]


async def test_deleted_accounts_leave_one_thread_in_which_nothing_unread_is_lost(
    store: StoreClient, database: str
) -> None:
    await store.make_inbox("ada", "bob", "eve")
    await send(store, ADA, "bob", "to bob", "again")
    await send(store, BOB, "ada", "to ada")
    await send(store, EVE, "bob", "from eve")
    assert await lines(store, BOB, "deleted") == []
    await delete(store, "ada", "eve")
    received = ["to bob", "again", "from eve"]
    for limit in (1, 50):
        assert await people(store, BOB, limit) == [("deleted", "from eve", False, 3)]
        assert await lines(store, BOB, "deleted", limit) == [(body, False, False) for body in received]
    assert await lines(store, BOB, "ada") == await lines(store, ADA, "deleted") == []
    page = await store.ok("GET", "/threads/deleted", BOB)
    assert {str(one["publisher"]) for one in page["items"]} == {"{'id': '', 'name': 'Deleted user'}"}
    [thread] = (await store.ok("GET", "/threads", BOB))["items"]
    assert thread["name"] == "Deleted user"
    assert (await store.ack(BOB, "user:bob", seqs=[2]))["unread"] == 2
    assert await people(store, BOB) == [("deleted", "from eve", False, 2)]
    assert (await store.ack(BOB, "user:bob", seqs=[1, 3]))["unread"] == 0
    assert await people(store, BOB) == [("deleted", "from eve", False, 0)]
    connection = await asyncpg.connect(database)
    try:
        while await purge_piece(connection):
            pass
        assert await connection.fetchval("SELECT count(*) FROM direct_messages WHERE sender <> ''") == 0
        before = await lines(store, BOB, "deleted")
        await connection.execute("DELETE FROM direct_messages")
        await connection.execute(import_module("notifyx_store.migrations.0017_deleted_senders").ROWS)
        assert await lines(store, BOB, "deleted") == before, "an upgrade finds those of accounts that are long gone"
    finally:
        await connection.close()


async def found(store: StoreClient, reader: Principal, query: str, limit: int = 50) -> list[tuple[str, bool, Any]]:
    """Return all that a search in direct messages finds, read page by page."""
    lines: list[tuple[str, bool, Any]] = []
    after = ""
    while True:
        page = await store.ok("GET", f"/search/direct?q={query}&limit={limit}{after}", reader)
        lines += [(one["body"], one["sent"], one["acked"]) for one in page["items"]]
        if page["next"] is None:
            return lines
        after = f"&after={page['next']}"


async def test_a_search_finds_what_was_received_and_what_was_sent(store: StoreClient, pool: asyncpg.Pool) -> None:
    await store.make_inbox("ada", "bob", "eve")
    await send(store, ADA, "bob", "lunch at noon", "dinner")
    await send(store, BOB, "ada", "lunch, yes")
    await send(store, EVE, "bob", "lunch with eve")
    await send(store, ADA, "ada", "lunch: bring bread")
    await send(store, ADA, "eve", "no lunch")
    await store.ack(ADA, "user:ada", seqs=[1])
    expected = [
        ("no lunch", True, None), ("lunch: bring bread", True, False), ("lunch, yes", False, True),
        ("lunch at noon", True, None),
    ]  # fmt: skip
    for limit in (1, 3, 50):
        assert await found(store, ADA, "lunch", limit) == expected, limit
    assert await found(store, EVE, "lunch") == [("no lunch", False, False), ("lunch with eve", True, None)]
    assert await found(store, user("zoe"), "lunch") == []
    await pool.execute("DELETE FROM notifications WHERE payload LIKE '%at noon%'")
    await pool.execute("UPDATE topics SET kind = 'deleted' WHERE name = 'user:eve'")
    assert await found(store, ADA, "lunch", 1) == expected[1:3]
