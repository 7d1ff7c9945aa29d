"""The outbox, the inbox and the ledger over a replica's own socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from notifyx_common.principal import Principal, system_principal
from notifyx_store.mail import unsubscribe
from support.patience import PATIENCE
from support.store import StoreClient, running_store, store_settings, user

SYSTEM = system_principal("dispatcher")
ANN, BOB = user("ann"), user("bob")


@pytest.fixture
async def store(database: str) -> AsyncIterator[StoreClient]:
    """A whole replica."""
    settings = store_settings(database, outbox_poll=0.2, expiry_every=0.1)
    async with running_store(settings) as client:
        yield client


async def publish(store: StoreClient, topic: str, count: int = 1, who: Principal = ANN) -> None:
    items = [{"p": 0, "topic": topic, "title": f"n{number}"} for number in range(count)]
    batch = {"batch_id": uuid4().hex, "principals": [who.model_dump(mode="json")], "items": items}
    answer = await store.ok("POST", "/publish", None, batch)
    assert all("seq" in result for result in answer["results"]), answer


async def ack(store: StoreClient, topic: str, who: Principal, **what: Any) -> None:
    batch = {"principals": [who.model_dump(mode="json")], "items": [{"p": 0, "topic": topic, **what}]}
    [result] = (await store.ok("POST", "/acks", None, batch))["results"]
    assert "unread" in result, result


async def claim(store: StoreClient, count: int, deadline: float = PATIENCE, **options: Any) -> list[Any]:
    """Claim until ``count`` mails were leased."""
    until, mails = time.monotonic() + deadline, list[Any]()
    while len(mails) < count:
        assert time.monotonic() < until, f"{len(mails)} of {count} mails were due in {deadline} s"
        lease = await store.ok("POST", "/outbox/claim", SYSTEM, {"owner": "g", **options})
        mails.extend(lease["mails"])
        await asyncio.sleep(0.02)
    assert len(mails) == count
    return mails


async def subscribed(store: StoreClient, email: str = "every") -> str:
    topic = f"t-{uuid4().hex[:8]}"
    await store.ok("POST", "/topics", ANN, {"name": topic, "title": "Deploys"})
    await store.ok("PUT", f"/topics/{topic}/subscription", BOB, {"email": email})
    return topic


async def test_a_mail_from_publish_to_sent(store: StoreClient) -> None:
    topic = await subscribed(store)
    await publish(store, topic, 3)
    mails = await claim(store, 3)
    assert [(mail["user"], mail["template"], mail["attempt"]) for mail in mails] == [("bob", "notification", 1)] * 3
    assert [mail["context"]["title"] for mail in mails] == ["n0", "n1", "n2"]
    assert mails[0]["context"]["topic_title"] == "Deploys"
    ids = [mail["id"] for mail in mails]
    acknowledging = [{"token": mail["acknowledge_token"]} for mail in mails]
    for _ in range(2):
        answers = [await store.ok("POST", "/outbox/acknowledge/unread", None, token) for token in acknowledging]
        assert answers == [{"topics": [topic], "unread": 1}] * 3, "a question acknowledges nothing"
    await ack(store, topic, BOB, seqs=[2])
    answers = [await store.ok("POST", "/outbox/acknowledge/unread", None, token) for token in acknowledging]
    assert [answer["unread"] for answer in answers] == [1, 0, 1]
    confirmed = await store.ok("POST", "/outbox/confirm", SYSTEM, {"owner": "g", "ids": ids})
    assert confirmed == {"ids": [ids[0], ids[2]]}
    results = [{"id": ids[0], "status": "sent"}, {"id": ids[2], "status": "refused", "reason": "550"}]
    for _ in range(2):  # reported again after a lost answer
        status, answer = await store.call("POST", "/outbox/results", SYSTEM, {"owner": "g", "results": results})
        assert (status, answer) == (204, None)
    ledger = await store.ok("GET", "/ledger", SYSTEM)
    assert ledger["balanced"] is True
    assert ledger["email"] == {"due": 3, "sent": 1, "fenced": 1, "pending": 0, "dead": 1}
    assert {"topic": topic, "due": 3, "acked": 1, "pending": 2, "expired": 0, "withdrawn": 0} in ledger["topics"]


async def test_one_click_ends_the_mail_but_not_the_subscription(store: StoreClient) -> None:
    topic = await subscribed(store)
    await publish(store, topic)
    [mail] = await claim(store, 1)
    for _ in range(2):
        status, _ = await store.call("POST", "/unsubscribe", None, {"token": mail["unsubscribe_token"]})
        assert status == 204
    assert await store.ok("POST", "/outbox/confirm", SYSTEM, {"owner": "g", "ids": [mail["id"]]}) == {"ids": []}
    subscription = await store.ok("GET", f"/topics/{topic}/subscription", BOB)
    assert (subscription["email"], subscription["unread"]) == ("never", 1)
    forged = unsubscribe.sign([1], SecretStr("not the secret of this store"))
    status, problem = await store.call("POST", "/unsubscribe", None, {"token": forged})
    assert (status, problem["code"]) == (400, "invalid_token")


async def test_direct_messages_are_mailed_when_they_stay_unread(store: StoreClient) -> None:
    await store.make_inbox("bob")
    await publish(store, "user:bob", 2)
    inbox = await store.ok("GET", "/inbox", BOB)
    assert [item["title"] for item in inbox["items"]] == ["n1", "n0"]
    assert inbox["unread"] == {"user:bob": 2}
    ledger = await store.ok("GET", "/ledger", SYSTEM)
    until = time.monotonic() + PATIENCE
    while ledger["email"]["pending"] != 2:
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
        ledger = await store.ok("GET", "/ledger", SYSTEM)
    assert await store.ok("POST", "/outbox/claim", SYSTEM, {"owner": "g"}) == {"mails": [], "oldest_due": 0.0}


async def test_the_status_of_many_topics_at_once(store: StoreClient) -> None:
    topic = await subscribed(store)
    await publish(store, topic, 4)
    await ack(store, topic, BOB, up_to=1)
    unheard = f"{topic}-empty"
    await store.ok("POST", "/topics", ANN, {"name": unheard})
    answer = await store.ok("POST", "/statuses", SYSTEM, {"topics": [topic, "none", unheard]})
    both = {"ledger_balanced": True, "released_by": None}
    assert sorted(answer["items"], key=lambda one: len(one["name"])) == [
        {"name": topic, "last_seq": 4, "subscribers": 1, "unacknowledged": 3, **both},
        {"name": unheard, "last_seq": 0, "subscribers": 0, "unacknowledged": 0, **both},
    ]
    assert await store.ok("POST", "/statuses", SYSTEM, {"topics": []}) == {"items": []}
    assert (await store.call("POST", "/statuses", ANN, {"topics": [topic]}))[0] == 403
    for wrong in (["many"] * 201, ["nul \x00"]):
        status, problem = await store.call("POST", "/statuses", SYSTEM, {"topics": wrong})
        assert (status, problem["code"]) == (400, "validation_failed")


async def test_a_deleted_topic_leaves_the_ledger_balanced(store: StoreClient) -> None:
    topic = await subscribed(store)
    await publish(store, topic, 5)
    await claim(store, 5)
    assert (await store.call("DELETE", f"/topics/{topic}", ANN))[0] == 204
    ledger = await store.ok("GET", "/ledger", SYSTEM)
    assert ledger["balanced"] is True
    assert topic not in [row["topic"] for row in ledger["topics"]]


async def test_only_parts_of_the_platform_dispatch_and_only_admins_audit(store: StoreClient) -> None:
    for path in ("claim", "confirm", "results", "verified"):
        status, problem = await store.call("POST", f"/outbox/{path}", user("root", role="admin"), {"owner": "g"})
        assert (status, problem["code"]) == (403, "forbidden")
        assert (await store.call("POST", f"/outbox/{path}", None, {"owner": "g"}))[0] == 401
    assert (await store.call("GET", "/ledger", ANN))[0] == 403
    assert (await store.call("GET", "/ledger", user("root", role="admin")))[0] == 200
    assert (await store.call("GET", "/inbox", None))[0] == 401
    assert (await store.call("GET", "/inbox", ANN.model_copy(update={"scopes": frozenset({"publish"})})))[0] == 403


BAD: list[tuple[str, str, Any]] = [
    ("POST", "/outbox/claim", {"owner": "g", "limit": 0}),
    ("POST", "/outbox/claim", {"owner": "g", "limit": 1001}),
    ("POST", "/outbox/claim", {"owner": "g", "lease_seconds": -1}),
    ("POST", "/outbox/claim", {"owner": 5}),
    ("POST", "/outbox/claim", b"{"),
    ("POST", "/outbox/claim", b"\xff\xfe"),
    ("POST", "/outbox/claim", []),
    ("POST", "/outbox/claim", {"owner": "a\x00b"}),
    ("POST", "/outbox/confirm", {"owner": "g", "ids": ["x"]}),
    ("POST", "/outbox/confirm", {"owner": "g", "ids": [7]}),
    ("POST", "/outbox/results", {"owner": "g", "results": [{"id": "x", "status": "sent"}]}),
    ("POST", "/outbox/results", {"owner": "g", "results": [{"id": str(uuid4()), "status": "odd"}]}),
    ("POST", "/outbox/results", {"owner": "g", "results": [{"id": str(uuid4()), "status": "sent", "x": 1}]}),
    ("POST", "/unsubscribe", {"token": "é" * 10}),
    ("POST", "/unsubscribe", {"token": "\x00.\x00"}),
    ("POST", "/outbox/acknowledge", {"token": "\x00.\x00"}),
    ("POST", "/outbox/acknowledge", {}),
    ("POST", "/outbox/acknowledge/unread", {"token": "\x00.\x00"}),
    ("POST", "/outbox/acknowledge/unread", {}),
    ("POST", "/unsubscribe", {"token": "1" * 513}),
    ("POST", "/unsubscribe", {}),
    ("GET", "/inbox?limit=0", None),
    ("GET", "/inbox?limit=201", None),
    ("GET", "/inbox?limit=-1", None),
    ("GET", "/inbox?limit=x", None),
    ("GET", "/inbox?unread=maybe", None),
    ("GET", "/inbox?after=x", None),
    ("GET", "/inbox?after=%00", None),
    ("GET", f"/inbox?after={'_' * 43}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), BAD)
async def test_bad_input_is_refused_in_one_clear_form(store: StoreClient, method: str, path: str, body: Any) -> None:
    status, problem = await store.call(method, path, SYSTEM, body)
    assert status == 400, problem
    assert problem["code"]
    assert problem["detail"]


async def test_what_a_mail_server_says_never_keeps_a_result_from_being_recorded(store: StoreClient) -> None:
    topic = await subscribed(store)
    await publish(store, topic)
    [mail] = await claim(store, 1)
    results = [
        {"id": mail["id"], "status": "refused", "reason": "550 nul \x00 and\r\nbreaks \u2028"},
        {"id": str(uuid4()), "status": "sent"},
    ]
    status, problem = await store.call("POST", "/outbox/results", SYSTEM, {"owner": "g", "results": results})
    assert status == 204, problem
    assert (await store.ok("GET", "/ledger", SYSTEM))["email"]["dead"] == 1


@pytest.mark.parametrize("name", ["%00", "a%00b", "..%2f", "A", "x" * 129])
async def test_what_cannot_be_a_topic_is_not_found(store: StoreClient, name: str) -> None:
    assert (await store.call("GET", f"/topics/{name}", SYSTEM))[0] == 404
