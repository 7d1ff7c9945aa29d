"""Storage: who publishes without end fills a share of it, and no one else is refused."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.patience import until
from support.phoenix import PhoenixClient, Refused

SENTENCE = (
    "The account that created this topic has stored as much as it may. Its owner can delete topics or shorten their "
    "retention; publishes are accepted again about a minute after that."
)
QUOTA = 400_000
ALERT: dict[str, Any] = {
    "version": "4",
    "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "1"}],
}


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    """Accounts may store 400 KB, which is estimated all the time; deleted topics are purged at once."""
    often = {"stored_every": 0.02, "purge_every": 0.02, "retention_every": 0.02, "expiry_every": 0.02}
    async with running_stack(postgres, store={"max_stored_bytes": QUOTA, **often}) as running:
        yield running


async def fill(stack: Stack, who: str, topic: str) -> int:
    """Publish notifications of 10 KB until one is refused; return how many were accepted."""
    accepted = 0

    async def refused() -> bool:
        nonlocal accepted
        body, key = {"body": secrets.token_urlsafe(7_500)}, {"Idempotency-Key": f"k{accepted}"}
        reply = await stack.call("POST", f"/topics/{topic}/notifications", who, json=body, headers=key)
        assert reply.status in (201, 409), reply.data
        accepted += reply.status == 201
        return reply.status == 409

    await until(refused, "the account's storage is full")
    return accepted


async def test_a_stranger_fills_its_share_and_others_go_on_publishing(stack: Stack) -> None:
    ada, eve = await stack.person("ada"), await stack.person("eve")
    await stack.ok("POST", "/topics", ada, json={"name": "news"})
    for name in ("spam", "more"):
        await stack.ok("POST", "/topics", eve, json={"name": name, "publishers": ["*"]})
    accepted = await fill(stack, eve, "spam")
    assert accepted * 2 * 10_000 > QUOTA / 2, "it may have so much"

    for topic in ("spam", "more"):
        for who in (eve, ada):
            reply = await stack.call("POST", f"/topics/{topic}/notifications", who, json={"title": "x"})
            assert (reply.status, reply.code, reply.data["detail"]) == (409, "account_storage_full", SENTENCE)
    hook = await stack.call("POST", "/topics/spam/hooks/alertmanager", eve, json=ALERT)
    assert (hook.status, hook.code) == (409, "account_storage_full")
    items = [{"topic": topic, "title": "x"} for topic in ("spam", "news", "more")]
    batch = await stack.call("POST", "/notifications:batch", ada, json={"items": items})
    assert [item["status"] for item in batch.data["items"]] == [409, 201, 409], batch.data
    async with PhoenixClient(f"ws://127.0.0.1:{stack.gateway.socket.port}/socket", eve) as client:
        spam = await client.channel("topic:spam")
        with pytest.raises(Refused) as refusal:
            await spam.push("publish", {"body": "x", "key": "socket"})
        assert refusal.value.response == {"code": "account_storage_full", "reason": SENTENCE}
    counted = stack.store.metrics.registry.get_sample_value
    assert (counted("notifyx_account_storage_full_total") or 0) >= 8
    assert counted("notifyx_accounts_storage_full") == 1

    for number in range(20):
        await stack.ok("POST", "/topics/news/notifications", ada, json={"title": f"{number}"})
    await stack.ok("POST", f"/users/{await stack.id_of('ada')}/notifications", eve, json={"title": "hello"})
    page = await stack.ok("GET", "/topics/spam/notifications?limit=1", ada)
    assert len(page["items"]) == 1, "what is there can be read"
    first = await stack.ok("GET", "/topics/spam/notifications?after=0&limit=1", eve)
    again, key = {"body": first["items"][0]["body"]}, {"Idempotency-Key": "k0"}
    repeated = await stack.call("POST", "/topics/spam/notifications", eve, json=again, headers=key)
    assert repeated.status in (200, 201), "what was accepted earlier is answered"


@pytest.mark.parametrize("way", ["delete", "retention"])
async def test_what_the_stranger_removes_makes_room(stack: Stack, way: str) -> None:
    eve = await stack.person("eve")
    for name in ("spam", "more"):
        await stack.ok("POST", "/topics", eve, json={"name": name})
    await fill(stack, eve, "spam")
    refused = await stack.call("POST", "/topics/more/notifications", eve, json={"title": "x"})
    assert refused.code == "account_storage_full"
    if way == "delete":
        await stack.ok("DELETE", "/topics/spam", eve)
    else:
        await stack.ok("PATCH", "/topics/spam", eve, json={"retention": {"max_count": 1}})

    async def accepted() -> bool:
        return (await stack.call("POST", "/topics/more/notifications", eve, json={"title": "x"})).status == 201

    await until(accepted, "there is room again")
