"""An account is deleted from outside: what others see of it, and what a crash on the way leaves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from notifyx_common.background import Background
from notifyx_common.contracts import departures as calls
from notifyx_common.contracts.store.people import RemovedPiece, RemoveUser
from notifyx_common.errors import Unavailable
from notifyx_gateway.mail.departures import DepartureWorker, deletion_mail
from notifyx_gateway.upstream.departures import Departures
from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, Stack, running_stack
from support.patience import until
from support.phoenix import PhoenixClient


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    async with running_stack(postgres) as running:
        await running.ready()
        yield running


async def leave(stack: Stack, name: str, topics: Any = "delete") -> None:
    await stack.ok("DELETE", "/me", await stack.person(name), json={"password": PASSWORD, "topics": topics})


async def departures(stack: Stack) -> int:
    count: int = await stack.auth.database.pool.fetchval("SELECT count(*) FROM departures")
    return count


async def pass_time(stack: Stack) -> None:
    """Until no credential of who has left is valid any more, and no lease."""
    await stack.auth.database.pool.execute("UPDATE departures SET left_at = left_at - interval '1 hour'")
    await be_due(stack)


async def be_due(stack: Stack) -> None:
    """Let all that is left be due, also by a node's clock, which may be behind the database's by some milliseconds."""
    await stack.auth.database.pool.execute("UPDATE departures SET next_at = now() - interval '1 hour'")


async def test_subscribers_of_a_deleted_topic_are_told_and_the_rest_stays_without_its_author(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "adas"})
    await stack.ok("POST", "/topics", bob, json={"name": "bobs", "publishers": ["*"]})
    await stack.ok("POST", "/topics/bobs/notifications", ada, json={"title": "From Ada"})
    await stack.ok("PUT", "/topics/adas/subscription", bob, json={})
    ada_id = await stack.id_of("ada")
    await stack.ok("POST", f"/users/{ada_id}/notifications", bob, json={"title": "Hello"})
    async with PhoenixClient(f"ws://127.0.0.1:{stack.gateway.socket.port}/socket", bob) as client:
        adas, bobs = await client.channel("topic:adas"), await client.channel("topic:bobs", since=0)
        await bobs.until(lambda channel: bool(channel.received))
        await stack.ok("POST", "/topics/bobs/notifications", ada, json={"title": "From Ada, live"})
        await bobs.until(lambda channel: len(channel.received) == 2)
        bob_id = await stack.id_of("bob")
        await stack.ok("POST", f"/users/{bob_id}/notifications", ada, json={"title": "From Ada, to Bob"})
        await leave(stack, "ada")
        await adas.until(lambda channel: any(event == "topic_deleted" for event, _ in channel.events))
        assert (await stack.call("GET", "/topics/adas", bob)).status == 404
        for inbox in (f"/users/{ada_id}", f"/topics/user:{ada_id}"):
            rejected = await stack.call("POST", f"{inbox}/notifications", bob, json={"title": "Hello?"})
            assert (rejected.status, rejected.code) == (404, "user_not_found")
        await pass_time(stack)
        stack.gateway.departure_worker.wake()

        async def finished() -> bool:
            return await departures(stack) == 0

        await until(finished, "the departure is over")
        items = (await stack.ok("GET", "/topics/bobs/notifications", bob))["items"]
        assert [item["title"] for item in items] == ["From Ada", "From Ada, live"]
        assert [item["publisher"] for item in items] == [{"id": "", "name": "Deleted user"}] * 2
        [thread] = (await stack.ok("GET", "/me/threads", bob))["items"]
        assert (thread["user"], thread["name"], thread["unread"]) == ("deleted", "Deleted user", 1)
        messages = await stack.ok("GET", "/me/threads/deleted", bob)
        assert (messages["name"], [item["title"] for item in messages["items"]]) == (
            "Deleted user",
            ["From Ada, to Bob"],
        )
        await stack.ok("POST", f"/topics/user:{bob_id}/acks", bob, json={"seqs": [messages["items"][0]["seq"]]})
        assert [one["unread"] for one in (await stack.ok("GET", "/me/threads", bob))["items"]] == [0]
        rejected = await stack.call("POST", "/users/deleted/notifications", bob, json={"title": "Hello?"})
        assert (rejected.status, rejected.code) == (404, "user_not_found")

        async def forgotten() -> bool:
            again = await client.channel("topic:bobs", since=1)
            await again.until(lambda channel: bool(channel.received))
            return bool(again.received[0]["publisher"]["name"] == "Deleted user")

        await until(forgotten, "the gateway has forgotten its own copy")


async def test_a_deletion_is_refused_in_words(stack: Stack) -> None:
    ada = await stack.person("ada")
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k", "scopes": ["manage"]}))["key"]
    body = {"password": PASSWORD, "topics": "keep"}
    for who, change, status, code in (
        (ada, {"password": "wrong"}, 400, "wrong_password"),
        (ada, {"topics": {"give_to": "nobody@example.com"}}, 400, "validation_failed"),
        (ada, {"topics": "burn"}, 400, "validation_failed"),
        (ada, {"topics": {"give_to": 3}}, 400, "validation_failed"),
        (key, {}, 403, "user_required"),
    ):
        rejected = await stack.call("DELETE", "/me", who, json={**body, **change})
        assert (rejected.status, rejected.code) == (status, code), rejected.data
    for topics in (
        "burn",
        None,
        ["keep"],
        7,
        {"give_to": 3},
        {"give_to": "b@example.com", "x": 1},
        {"give_to": "b" * 255},
    ):
        (wrong,) = (await stack.call("DELETE", "/me", ada, json={**body, "topics": topics})).data["errors"]
        assert wrong["field"] == "topics"
        assert '"delete", "keep" or {"give_to"' in wrong["reason"]
    assert (await stack.call("GET", "/me", ada)).status == 200
    assert await departures(stack) == 0


async def test_an_export_holds_all_that_is_the_persons_and_no_secret(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "adas"})
    await stack.ok("POST", "/topics", bob, json={"name": "bobs", "publishers": ["*"]})
    await stack.ok("PUT", "/topics/bobs/subscription", ada, json={})
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k"}))["key"]
    hook = await stack.ok("POST", "/topics/adas/hooks", ada, json={"kind": "github"})
    data = {"n": 1.5, "text": "ü \u2028"}
    for topic, count in (("adas", 3), ("bobs", 205)):
        items = [{"topic": topic, "title": f"{topic} {n}", "data": data} for n in range(count)]
        await stack.ok("POST", "/notifications:batch", ada, json={"items": items})
    await stack.ok("POST", "/topics/bobs/notifications", bob, json={"title": "From Bob"})
    await stack.ok("POST", f"/users/{await stack.id_of('ada')}/notifications", bob, json={"title": "Direct"})
    reply = await stack.call("GET", "/me/export", ada)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert reply.headers["Content-Disposition"].startswith("attachment")
    export = reply.data
    assert list(export) == [
        "exported_at", "account", "sessions", "api_keys", "webhooks", "subscriptions", "topics", "inbox", "published",
        "complete",
    ]  # fmt: skip
    assert export["account"]["email"] == "ada@example.com"
    assert [one["current"] for one in export["sessions"]] == [True]
    assert [one["topic"] for one in export["webhooks"]] == ["adas"]
    assert [one["name"] for one in export["topics"]] == ["adas"]
    assert {one["topic"] for one in export["subscriptions"]} == {"bobs", f"user:{export['account']['id']}"}
    assert sorted(one["topic"] for one in export["published"]) == ["adas"] * 3 + ["bobs"] * 205
    assert all(one["data"] == data for one in export["published"])
    assert len([one for one in export["inbox"] if one["topic"] == "bobs"]) == 206
    assert "Direct" in [one["title"] for one in export["inbox"]]
    for secret in (key.split("_", 2)[2], hook["secret"], hook["signing_secret"], PASSWORD):
        assert secret not in reply.raw.decode()
    assert (await stack.call("GET", "/me/export", key)).code == "user_required"


async def test_an_export_is_cut_off_where_it_cannot_go_on(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await stack.person("ada")

    async def away(*_: object) -> None:
        raise Unavailable("The store is away.")

    monkeypatch.setattr(stack.gateway.store, "published", away)
    with pytest.raises(aiohttp.ClientPayloadError):
        await stack.call("GET", "/me/export", ada)
    monkeypatch.setattr(stack.gateway.store, "subscriptions", away)
    assert (await stack.call("GET", "/me/export", ada)).status == 503
    assert (await stack.call("GET", "/me/export", ada)).status == 503
    assert (await stack.call("GET", "/me/export", ada)).code == "rate_limited"


class Crashing(Departures):
    """Makes some calls, and fails at the next one: before it is made, or once it was."""

    def __init__(self, stack: Stack, calls_left: int, *, after: bool) -> None:
        super().__init__(stack.gateway.auth_client, stack.gateway.store_client)
        self._left = calls_left
        self._after = after
        self.crashed = False

    def _count(self, *, made: bool) -> None:
        if made == self._after and self._left == 0:
            self.crashed = True
            raise Unavailable("The gateway died here.")
        self._left -= made

    async def lease(self) -> Any:
        self._count(made=False)
        leased = await super().lease()
        self._count(made=True)
        return leased

    async def record(self, user_id: str, step: calls.DepartureStep) -> None:
        self._count(made=False)
        await super().record(user_id, step)
        self._count(made=True)

    async def remove(self, user_id: str, wanted: RemoveUser) -> RemovedPiece:
        self._count(made=False)
        piece = await super().remove(user_id, wanted)
        self._count(made=True)
        return piece


@pytest.mark.parametrize("after", [False, True])
async def test_a_gateway_that_dies_leaves_the_rest_to_another(postgres: Cluster, after: bool) -> None:
    async with running_stack(postgres) as stack:
        await stack.ready()
        bob = await stack.person("bob")
        await stack.ok("POST", "/topics", bob, json={"name": "bobs", "publishers": ["*"]})
        await stack.gateway.departure_worker.__aexit__(None, None, None)

        def worker(departures: Departures) -> DepartureWorker:
            node = stack.gateway
            return DepartureWorker(
                departures,
                node.mailer,
                public_url="http://n.test",
                clock=node.clock,
                metrics=node.metrics,
                background=Background(node.metrics),
            )

        crashes, alive = 0, True
        while alive:
            ada = await stack.person(f"ada{crashes}")
            await stack.ok("POST", "/topics", ada, json={"name": "adas"})
            await stack.ok("POST", "/topics/bobs/notifications", ada, json={"title": "x"})
            await leave(stack, f"ada{crashes}")
            dying = Crashing(stack, crashes, after=after)
            for _ in range(3):  # what a gateway does at once, and when nothing is valid any more
                with contextlib.suppress(Unavailable):
                    await worker(dying).work_once()
                await pass_time(stack)
            alive, crashes = dying.crashed, crashes + 1
            healthy = worker(stack.gateway.departures)
            for _ in range(2):
                await healthy.work_once()
                await be_due(stack)
            assert await departures(stack) == 0
            assert (await stack.call("GET", "/topics/adas", bob)).status == 404
            items = (await stack.ok("GET", "/topics/bobs/notifications?limit=200", bob))["items"]
            assert {one["publisher"]["name"] for one in items} == {"Deleted user"}
        assert crashes > 6, "it died in each of its steps"


def test_the_last_mail_is_the_same_whenever_it_is_sent() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    left = calls.Departure(
        user_id="1", email="a@example.com", verified=True, topics="keep", left_at=at, told=False, final=False
    )
    assert deletion_mail(left, "https://n.test") == deletion_mail(left, "https://n.test")
    assert deletion_mail(left, "https://n.test").context.model_dump()["kind"] == "account_deleted_topics_keep"
