"""Topics over HTTP: who sees and changes what, resources and their claims, deletion, malformed input."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from notifyx_common.contracts.call import REPEATED_HEADER
from notifyx_common.principal import Principal, system_principal
from support.patience import PATIENCE
from support.store import StoreClient, user

ANN, BOB, EVE = user("ann"), user("bob"), user("eve")
SYSTEM = system_principal("operator")
MAIL = user("mia", email="Mia@Example.com", email_verified=True)


async def refusal(store: StoreClient, method: str, path: str, principal: Principal | None, body: Any = None) -> Any:
    status, problem = await store.call(method, path, principal, body)
    assert status >= 400, problem
    assert problem["status"] == status
    return status, problem["code"]


async def test_a_key_that_only_reads_sees_no_more_of_its_owners_topics_than_who_may_not_manage(
    store: StoreClient,
) -> None:
    names = ["bob", "mia@example.com"]
    lists = {"visibility": "public", "publishers": names, "readers": names}
    await store.ok("POST", "/topics", ANN, {"name": "news", **lists})
    await store.ok("PATCH", "/topics/news", SYSTEM, {"creators": ["ann", "mia@example.com"]})

    reading, managing = (
        Principal(id="ann", kind="api_key", key_id="0" * 16, scopes=scopes)
        for scopes in (frozenset({"read"}), frozenset({"read", "manage"}))
    )
    for shown in (
        await store.ok("GET", "/topics/news", reading),
        *(await store.ok("GET", "/topics", reading))["items"],
    ):
        assert (shown["creators"], shown["publishers"], shown["readers"]) == (["ann"], [], [])
        assert shown["can_manage"] is False
    shown = await store.ok("GET", "/topics/news", managing)
    assert (shown["creators"], shown["readers"]) == (["ann", "mia@example.com"], names)
    elsewhere = managing.model_copy(update={"topics": ("orders.*",)})
    assert (await store.ok("GET", "/topics", elsewhere))["items"] == []


async def test_a_topics_life(store: StoreClient) -> None:
    spec = {
        "name": "news",
        "title": "News",
        "visibility": "private",
        "publishers": ["bob"],
        "readers": ["MIA@example.com"],
        "retention": {"max_age_seconds": 3600, "max_count": 10},
        "email": {"default": "unread", "unread_after_seconds": 60, "digest_every_seconds": 600},
    }
    made = await store.ok("POST", "/topics", ANN, spec)
    assert {name: made[name] for name in spec} == {**spec, "readers": ["mia@example.com"]}
    assert (made["creators"], made["can_publish"], made["can_manage"]) == (["ann"], True, True)
    assert await refusal(store, "POST", "/topics", EVE, {"name": "news"}) == (409, "topic_exists")

    seen = await store.ok("GET", "/topics/news", MAIL)
    assert (seen["can_publish"], seen["can_manage"], seen["readers"], seen["publishers"]) == (False, False, [], [])
    assert await refusal(store, "GET", "/topics/news", EVE) == (404, "topic_not_found")
    assert await refusal(store, "PATCH", "/topics/news", EVE, {"title": "x"}) == (404, "topic_not_found")
    assert await refusal(store, "PATCH", "/topics/news", BOB, {"title": "x"}) == (403, "not_a_creator")
    assert await refusal(store, "GET", "/topics/news/subscribers", MAIL) == (403, "not_a_creator")
    assert await refusal(store, "GET", "/topics/news/notifications", BOB) == (403, "not_a_reader")

    assert (await store.ok("GET", "/topics/user:ann", ANN))["can_manage"] is False
    assert await refusal(store, "DELETE", "/topics/user:ann", ANN) == (403, "inbox_is_fixed")

    await store.ok("PATCH", "/topics/news", ANN, {"readers": [*spec["readers"], "bob"]})
    await store.ok("PUT", "/topics/news/subscription", BOB, {})
    changed = await store.ok("PATCH", "/topics/news", ANN, {"title": "New", "creators": ["ann", "bob"], "paused": True})
    assert (changed["title"], changed["creators"], changed["paused"]) == ("New", ["ann", "bob"], True)
    assert changed["email"] == spec["email"]
    paused = (await store.publish(BOB, {"topic": "news", "title": "x"}))[0]
    assert (paused["status"], paused["code"]) == (409, "topic_paused")

    assert (await store.call("DELETE", "/topics/news", BOB))[0] == 204
    assert await refusal(store, "DELETE", "/topics/news", BOB) == (404, "topic_not_found")
    assert (await store.call("DELETE", "/topics/news", BOB, headers={REPEATED_HEADER: "1"}))[0] == 204
    assert await refusal(store, "GET", "/topics/news", ANN) == (404, "topic_not_found")
    assert (await store.publish(ANN, {"topic": "news", "title": "x"}))[0]["code"] == "topic_not_found"


async def test_the_list_holds_what_the_caller_may_see_page_by_page(store: StoreClient) -> None:
    for number in range(12):
        visibility = "private" if number % 2 else "public"
        readers = ["mia@example.com"] if number == 1 else []
        spec = {"name": f"t{number:02}", "title": f"Topic {number}", "visibility": visibility, "readers": readers}
        await store.ok("POST", "/topics", ANN, spec)
    await store.make_inbox("ann")
    await store.publish(EVE, {"topic": "user:ann", "title": "inboxes are not listed"})

    async def names(principal: Principal, query: str = "") -> list[str]:
        found: list[str] = []
        after = ""
        while True:
            page = await store.ok("GET", f"/topics?limit=3&after={after}{query}", principal)
            found += [item["name"] for item in page["items"]]
            if page["next"] is None:
                return found
            after = page["next"]

    even = [f"t{number:02}" for number in range(0, 12, 2)]
    assert await names(ANN) == [f"t{number:02}" for number in range(12)]
    assert await names(EVE) == even
    assert await names(MAIL) == sorted([*even, "t01"])
    assert await names(ANN, "&q=topic%201") == ["t01", "t10", "t11"]
    key = ANN.model_copy(update={"kind": "api_key", "topics": ("t*1",)})
    assert await names(key) == ["t01", "t11"]


async def test_one_who_may_no_longer_read_is_no_longer_subscribed(store: StoreClient) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    for one in (ANN, BOB, EVE, MAIL):
        await store.ok("PUT", "/topics/news/subscription", one, {})
    await store.publish(ANN, {"topic": "news", "title": "x"})
    await store.ok("PATCH", "/topics/news", ANN, {"visibility": "private", "readers": ["bob", "mia@example.com"]})
    subscribers = await store.ok("GET", "/topics/news/subscribers", ANN)
    assert [one["user"] for one in subscribers["items"]] == ["ann", "bob", "mia"]
    await store.ok("PATCH", "/topics/news", ANN, {"readers": ["bob"]})
    subscribers = await store.ok("GET", "/topics/news/subscribers?limit=1", ANN)
    assert ([one["user"] for one in subscribers["items"]], subscribers["next"]) == (["ann"], "ann")
    ledger = await store.ok("GET", "/ledger", SYSTEM)
    assert ledger["balanced"]
    assert next(row for row in ledger["topics"] if row["topic"] == "news")["withdrawn"] == 2


async def test_everything_at_once_on_a_topic_that_comes_and_goes(store: StoreClient) -> None:
    """Whatever the interleaving: no deadlock, no 5xx, and a ledger that balances."""
    statuses: set[int] = set()

    async def call(method: str, path: str, principal: Principal, body: Any = None) -> None:
        status, answer = await store.call(method, path, principal, body)
        statuses.add(status)
        if isinstance(answer, dict):
            statuses.update(result.get("status", 200) for result in answer.get("results", ()))

    async def person(one: Principal) -> None:
        for turn in range(12):
            principals = [one.model_dump(mode="json")]
            item = {"p": 0, "topic": "news"}
            batch = {"batch_id": f"{hash((one.id, turn)) % 2**64:032x}", "principals": principals}
            await call("PUT", "/topics/news/subscription", one, {})
            await call("POST", "/publish", one, {**batch, "items": [{**item, "title": "x"}] * 3})
            await call("POST", "/acks", one, {"principals": principals, "items": [{**item, "seqs": [turn, turn + 2]}]})
            await call("DELETE", "/topics/news/subscription", one)

    async def owner() -> None:
        for turn in range(8):
            await call("POST", "/topics", ANN, {"name": "news", "publishers": ["*"]})
            await call("PATCH", "/topics/news", ANN, {"title": str(turn)})
            await call("PATCH", "/topics/news", ANN, {"visibility": "private", "readers": ["u1"]})
            await call("DELETE", "/topics/news", ANN)

    await asyncio.gather(owner(), *(person(user(f"u{n}")) for n in range(4)))
    assert statuses <= {200, 201, 204, 403, 404}
    assert (await store.ok("GET", "/ledger", SYSTEM))["balanced"]


def claim(uid: str = "uid-1", resource: str = "team/news", **spec: Any) -> dict[str, Any]:
    return {"resource": resource, "uid": uid, "owners": ["ann"], **spec}


async def test_a_resource_claims_a_topic_and_lets_go_of_it_without_touching_the_data(store: StoreClient) -> None:
    made = await store.ok("POST", "/topics", ANN, {"name": "news", "title": "Mine"})
    await store.publish(ANN, {"topic": "news", "title": "x"})
    await store.ok("PUT", "/topics/news/subscription", BOB, {})
    assert await refusal(store, "PUT", "/topics/news/resource", ANN, claim()) == (403, "forbidden")
    assert await refusal(store, "PUT", "/topics/news/resource", SYSTEM, claim()) == (409, "topic_exists")
    declared = claim(title="Declared", publishers=["bob"])
    adopted = await store.ok("PUT", "/topics/news/resource?adopt=accept", SYSTEM, declared)
    assert (adopted["id"], adopted["title"], adopted["resource"], adopted["last_seq"]) == (
        made["id"],
        "Declared",
        "team/news",
        1,
    )
    for method, body in (("PATCH", {"title": "x"}), ("DELETE", None)):
        status, problem = await store.call(method, "/topics/news", ANN, body)
        assert (status, problem["code"]) == (409, "topic_owned_by_resource")
        assert "team/news" in problem["detail"]
    other = claim("uid-2", "other/news")
    assert await refusal(store, "PUT", "/topics/news/resource", SYSTEM, other) == (409, "claimed_by_other_resource")
    assert await refusal(store, "DELETE", "/topics/news/resource?policy=delete&uid=uid-2", SYSTEM) == (
        409,
        "claimed_by_other_resource",
    )
    made_again = await store.ok("PUT", "/topics/news/resource", SYSTEM, claim("uid-3"))
    assert made_again["id"] == made["id"], "deleted and made again under its name, a resource goes on"

    assert (await store.call("DELETE", "/topics/news/resource?policy=retain", SYSTEM))[0] == 204
    assert (await store.call("DELETE", "/topics/news/resource?policy=delete", SYSTEM))[0] == 204
    assert await origin(store) == "team/news"
    released = await store.ok("PATCH", "/topics/news", ANN, {"title": "Mine again"})
    assert (released["id"], released["resource"], released["last_seq"]) == (made["id"], None, 1)
    assert (await store.ok("GET", "/topics/news/subscription", BOB))["first_seq"] == 2

    assert await origin(store) == "team/news"
    await store.ok("PATCH", "/topics/news", ANN, {"creators": ["ann", "system:serviceaccount:a:b"]})
    assert await origin(store) is None, "with other creators it is another topic"

    await store.ok("PUT", "/topics/news/resource?adopt=accept", SYSTEM, other)
    assert (await store.call("DELETE", "/topics/news/resource?policy=delete", SYSTEM))[0] == 204
    assert (await store.call("DELETE", "/topics/news/resource?policy=delete", SYSTEM))[0] == 204
    assert await refusal(store, "GET", "/topics/news", ANN) == (404, "topic_not_found")


async def origin(store: StoreClient) -> str | None:
    """Which resource released the topic."""
    found: str | None = (await store.ok("POST", "/statuses", SYSTEM, {"topics": ["news"]}))["items"][0]["released_by"]
    return found


async def test_claims_at_the_same_instant_make_one_topic(store: StoreClient) -> None:
    answers = await asyncio.gather(
        *(store.call("PUT", "/topics/news/resource", SYSTEM, claim(f"uid-{n}", f"team/{n}")) for n in range(5))
    )
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409]


async def test_a_deleted_topics_data_goes_and_the_ledger_balances_all_the_while(
    store: StoreClient, database: str
) -> None:
    await store.ok("POST", "/topics", ANN, {"name": "news"})
    await store.ok("PUT", "/topics/news/subscription", BOB, {"email": "every"})
    await store.publish(ANN, *({"topic": "news", "title": "x"} for _ in range(50)))
    await store.ack(BOB, "news", seqs=[3, 5])
    connection = await asyncpg.connect(database)
    async with asyncio.timeout(PATIENCE):
        while await connection.fetchval("SELECT count(*) FROM outbox") < 48:
            await asyncio.sleep(0.05)
    await store.ok("DELETE", "/topics/news", ANN)
    assert [one["topic"] for one in (await store.ok("GET", "/subscriptions", BOB))["items"]] == ["user:bob"]
    await store.ok("POST", "/topics", EVE, {"name": "news"})
    left = "SELECT (SELECT count(*) FROM notifications) + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM topics)"
    async with asyncio.timeout(PATIENCE):
        while await connection.fetchval(left) > 2:
            assert (await store.ok("GET", "/ledger", SYSTEM))["balanced"]
            await asyncio.sleep(0.05)
    await connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/topics", b"{", 400),
        ("POST", "/topics", b"\xff", 400),
        ("POST", "/topics", [], 400),
        ("POST", "/topics", {"name": "UPPER"}, 400),
        ("POST", "/topics", {"name": "user:x"}, 400),
        ("POST", "/topics", {"name": "a", "more": 1}, 400),
        ("POST", "/topics", {"name": "a", "title": "nul \x00"}, 400),
        ("POST", "/topics", {"name": "a", "publishers": ["with space"]}, 400),
        ("POST", "/topics", {"name": "a", "retention": {"max_count": 10**12}}, 400),
        ("PATCH", "/topics/a", {"creators": []}, 400),
        ("PATCH", "/topics/user:ann", {"title": "x"}, 404),
        ("DELETE", "/topics/user:eve", None, 404),
        ("GET", "/topics/%00", None, 404),
        ("GET", "/topics/..%2f..%2fetc", None, 404),
        ("GET", "/topics/" + "a" * 129, None, 404),
        ("GET", "/topics?limit=0", None, 400),
        ("GET", "/topics?limit=x", None, 400),
        ("GET", "/topics?after=%00", None, 400),
        ("GET", "/topics/a/notifications?after=-1", None, 400),
        ("GET", "/topics/a/notifications?before=99999999999999999999", None, 400),
        ("PUT", "/topics/a/subscription", {"email": "sometimes"}, 400),
        ("PUT", "/topics/nowhere/subscription", {}, 404),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/topics", {}, 405),
        ("POST", "/publish", b"not json", 400),
        ("POST", "/publish", {"batch_id": "x", "principals": [], "items": [{}]}, 400),
        ("POST", "/publish", [1], 400),
        ("POST", "/acks", {"principals": [{"id": 3}], "items": [{"p": 0, "topic": "a", "up_to": 1}]}, 400),
        ("POST", "/joins", {}, 400),
        ("POST", "/unread", {"items": [{"user": "\x00", "topic": "a"}]}, 400),
        ("DELETE", "/topics/a/resource?policy=burn", None, 400),
    ],
)
async def test_malformed_requests_are_problems(
    store: StoreClient, method: str, path: str, body: Any, status: int
) -> None:
    found, problem = await store.call(method, path, ANN, body)
    assert found == status, problem
    assert problem["type"].startswith("https://notifyx.dev/errors/")
    assert (await store.call("GET", "/topics", ANN))[0] == 200


async def test_calls_without_a_principal_or_with_a_broken_one(store: StoreClient) -> None:
    assert (await store.call("GET", "/topics"))[0] == 401
    assert (await store.call("GET", "/topics", headers={"X-Notifyx-Principal": "%%%"}))[0] == 401
    assert (await store.call("GET", "/topics", ANN, headers={"Authorization": "Bearer wrong"}))[0] == 401
