"""A list of people means a mailbox, in whichever spelling its domain is written there and in the account."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from notifyx_common.principal import system_principal
from support.store import StoreClient, user

ANN, EVE = user("ann"), user("eve")
LETTERS, ASCII = "x@ex\u00e4mple.com", "x@xn--exmple-cua.com"
MIXED = ("x@ex\u00e4mple.xn--p1ai", "x@xn--exmple-cua.\u0440\u0444")


@pytest.fixture
async def connection(database: str) -> Any:
    found = await asyncpg.connect(database)
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("listed", "account"),
    [(LETTERS, ASCII), (ASCII, LETTERS), ("X@XN--EXMPLE-CUA.com", "X@ex\u00c4mple.com"), MIXED],
)
async def test_who_is_listed_in_one_spelling_may_what_the_list_says_in_the_other(
    store: StoreClient, listed: str, account: str
) -> None:
    mia = user("mia", email=account, email_verified=True)
    unproved = user("mia2", email=account)
    spec = {"visibility": "private", "readers": [listed], "publishers": [listed]}
    await store.ok("POST", "/topics", ANN, {"name": "plans", **spec})

    for who, may in ((mia, True), (unproved, False), (EVE, False)):
        (published,) = await store.publish(who, {"topic": "plans", "title": "x"})
        assert ("seq" in published) is may, published
        assert ("code" not in await store.join(who, "plans")) is may
        statuses = [
            (await store.call(method, f"/topics/{path}", who, body))[0]
            for method, path, body in (
                ("GET", "plans", None),
                ("GET", "plans/notifications", None),
                ("PUT", "plans/subscription", {}),
            )
        ]
        assert statuses == [200 if may else 404] * 3
        assert [one["name"] for one in (await store.ok("GET", "/topics", who))["items"]] == (["plans"] if may else [])
        people = [who.model_dump(mode="json")]
        logs = {"principals": people, "items": [{"p": 0, "topic": "plans", "limit": 5}]}
        assert ((await store.ok("POST", "/pages/history", None, logs))["sizes"] != [None]) is may
    await store.publish(mia, {"topic": "plans", "title": "y"})
    alone = await store.ok("GET", "/inbox", mia)
    both = {"principals": [mia.model_dump(mode="json")], "items": [{"p": 0, "limit": 5}]}
    (shared,) = (await store.ok("POST", "/pages/inbox", None, both))["pages"]
    assert [one["title"] for one in alone["items"]] == [one["title"] for one in shared["items"]] == ["y"]


async def test_a_list_of_an_earlier_release_holds_as_it_was_written(
    store: StoreClient, connection: asyncpg.Connection
) -> None:
    """It stored what was written, in lower case, whatever the spelling."""
    await store.ok("POST", "/topics", ANN, {"name": "plans", "visibility": "private"})
    for written, account in ((LETTERS, ASCII), (ASCII, LETTERS), (MIXED[0], MIXED[0])):
        await connection.execute("UPDATE topics SET readers = ARRAY[$1] WHERE name = 'plans'", written)
        mia = user("mia", email=account, email_verified=True)
        assert "code" not in await store.join(mia, "plans")
        await store.ok("GET", "/topics/plans", mia)


async def test_a_list_shows_what_was_written_and_each_mailbox_once(store: StoreClient) -> None:
    lists = {"readers": [ASCII, LETTERS, "bob"], "publishers": [LETTERS.upper(), ASCII]}
    made = await store.ok("POST", "/topics", ANN, {"name": "plans", **lists})
    assert (made["readers"], made["publishers"]) == ([ASCII, "bob"], [LETTERS])


@pytest.mark.parametrize(("one", "other"), [(LETTERS, ASCII), (ASCII, LETTERS)])
async def test_who_subscribes_is_found_by_the_other_spelling(store: StoreClient, one: str, other: str) -> None:
    mia = user("mia", email=one, email_verified=True)
    await store.ok("POST", "/topics", ANN, {"name": "plans"})
    creators = {"creators": ["ann", other]}
    status, problem = await store.call("PATCH", "/topics/plans", ANN, creators)
    assert (status, problem["code"]) == (400, "validation_failed"), "nobody with the address subscribes yet"
    await store.ok("PUT", "/topics/plans/subscription", mia, {})
    await store.ok("PUT", "/topics/plans/subscription", EVE, {})
    await store.ok("PATCH", "/topics/plans", ANN, {"visibility": "private", "readers": [other]})
    subscribers = await store.ok("GET", "/topics/plans/subscribers", ANN)
    assert [found["user"] for found in subscribers["items"]] == ["mia"], "who is still listed goes on"
    await store.ok("PATCH", "/topics/plans", ANN, creators)
    renamed = await store.ok("PATCH", "/topics/plans", mia, {"creators": ["ann", one]})
    assert renamed["creators"] == ["ann", one], "the same people"

    body = {"topics": "keep", "give_to": "", "email": other, "rewrite": True, "after": ""}
    while not (await store.ok("POST", "/users/mia/removal", system_principal("gateway"), body))["done"]:
        pass
    left = await store.ok("GET", "/topics/plans", ANN)
    assert (left["creators"], left["readers"]) == (["ann"], []), "an account that is deleted is on no list"
