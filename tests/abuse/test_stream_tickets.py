"""Who finds a ticket in a URL: in a log, a history, or a header that names where a request came from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from notifyx_common.principal import Principal
from notifyx_local.postgres import Cluster
from support.auth import running_auth
from support.gateway import Stack, running_stack
from support.patience import PATIENCE

STREAM = "/topics/plans/stream"


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        ada = await running.person("ada")
        for name in ("plans", "secrets"):
            await running.ok("POST", "/topics", ada, json={"name": name, "visibility": "private"})
        yield running


async def made(stack: Stack, who: str, topic: str = "plans") -> str:
    reply = await stack.call("POST", "/stream-tickets", who, json={"topic": topic})
    assert (reply.status, reply.headers["Cache-Control"]) == (201, "no-store")
    assert 0 < reply.data["expires_in"] <= 60
    return str(reply.data["ticket"])


async def opened(stack: Stack, path: str) -> bytes | int:
    """The first event of the stream, or the status of a refusal."""
    async with stack.session.get(f"{stack.url}/api/v1{path}") as response:
        if response.status != 200:
            return response.status
        async with asyncio.timeout(PATIENCE):
            while not (line := await response.content.readline()).startswith(b"event:"):
                pass
        return line


async def test_of_many_who_show_a_ticket_one_opens_a_stream_and_it_receives(stack: Stack) -> None:
    ada = await stack.person("ada")
    ticket = await made(stack, ada)
    found = await asyncio.gather(*(opened(stack, f"{STREAM}?ticket={ticket}&since=0") for _ in range(8)))
    assert sorted(map(str, found)) == ["401"] * 7 + [str(b"event: joined\n")]
    await stack.ok("POST", "/topics/plans/notifications", ada, json={"body": "live"})
    async with stack.session.get(
        f"{stack.url}/api/v1{STREAM}?since=7&ticket={await made(stack, ada)}", headers={"Last-Event-ID": "0"}
    ) as response:
        async with asyncio.timeout(PATIENCE):
            while b'"live"' not in await response.content.readline():
                pass


async def test_a_ticket_opens_nothing_but_its_stream(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k", "topics": ["plans"], "scopes": ["read"]}))["key"]
    ticket = await made(stack, key)
    assert (await stack.call("POST", "/topics/plans/notifications", ticket, json={"body": "x"})).status == 401
    assert (await stack.call("GET", f"/topics/plans?ticket={ticket}", None)).status in (400, 401)
    async with stack.session.head(f"{stack.url}/api/v1{STREAM}?ticket={ticket}") as response:
        assert response.status == 401
    assert await opened(stack, f"{STREAM}?ticket={ticket}&lastEventId=") == b"event: joined\n", (
        "what was refused did not use it"
    )
    other = await made(stack, ada)
    assert await opened(stack, f"/topics/secrets/stream?ticket={other}") == 403
    assert await opened(stack, f"{STREAM}?ticket={other}") == 401, "it is used"
    for wrong in ("x", "nft_", f"nft_{'a' * 43}", f"nft_{'a' * 4000}", "%00"):
        assert await opened(stack, f"{STREAM}?ticket={wrong}") == 401
    # A ticket gives no more than its maker has.
    assert (await stack.call("POST", "/stream-tickets", key, json={"topic": "secrets"})).status == 403
    assert (await stack.call("POST", "/stream-tickets", None, json={"topic": "plans"})).status == 401
    assert await opened(stack, f"{STREAM}?ticket={await made(stack, bob)}") == 404


async def test_a_ticket_is_good_for_a_minute_and_its_stream_for_as_long_as_its_credential(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.signed_in(await auth.sign_up())
        expires = (auth.clock.now() + timedelta(minutes=4)).isoformat()
        key = await auth.call("POST", "/api-keys", {"name": "k", "expires_at": expires}, as_=ada)
        by_key = ada.model_copy(update={"kind": "api_key", "key_id": key.data["id"], "session": None})

        async def ticket(who: Principal) -> str:
            until = (auth.clock.now() + timedelta(minutes=5)).isoformat().replace("+", "%2B")
            path = f"/stream-tickets?until={until}&session={who.session or ''}"
            return str((await auth.call("POST", path, {"topic": "plans"}, as_=who)).data["ticket"])

        async def until(shown: str) -> str | int:
            used = await auth.call("POST", "/stream-tickets:use", {"ticket": shown})
            return used.status if used.status != 200 else str(used.data["until"])

        first, second, late = await ticket(ada), await ticket(by_key), await ticket(ada)
        auth.clock.move(seconds=59)
        assert await until(first) == "2026-01-01T12:05:00Z"
        assert await until(second) == "2026-01-01T12:04:00Z", "no longer than the key"
        auth.clock.move(seconds=1)
        assert await until(late) == 401
        waiting = [await ticket(ada) for _ in range(100)]
        many = await auth.call(
            "POST", f"/stream-tickets?until=2026-01-02T00:00:00Z&session={ada.session}", {"topic": "plans"}, as_=ada
        )
        assert (many.status, many.data["code"]) == (409, "too_many_tickets")
        assert len(set(waiting)) == 100
