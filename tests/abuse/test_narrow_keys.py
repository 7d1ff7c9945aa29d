"""An API key for some topics looks at the others of its owner, wherever the gateway shows a user's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.phoenix import Channel, PhoenixClient, Refused

SECRET = "secret.plans"


@dataclass
class Owner:
    """A user who reads a private topic, and a key of theirs that covers inboxes only."""

    stack: Stack
    token: str
    id: str
    key: str

    @property
    def socket(self) -> str:
        """URL of the gateway's socket."""
        return f"ws://127.0.0.1:{self.stack.gateway.socket.port}/socket"

    async def publish(self, topic: str = SECRET) -> None:
        """Publish one notification that becomes unread."""
        await self.stack.ok("POST", f"/topics/{topic}/notifications", self.token, json={"body": "x"})

    async def narrow_token(self) -> str:
        """An access token with the rights of the key."""
        form = {"grant_type": "client_credentials", "client_id": self.key.split("_")[1]}
        answer = await self.stack.ok("POST", "/token", data={**form, "client_secret": self.key.split("_", 2)[2]})
        return str(answer["access_token"])


@pytest.fixture
async def owner(postgres: Cluster) -> AsyncIterator[Owner]:
    async with running_stack(postgres) as stack:
        await stack.ready()
        token = await stack.person("owner")
        await stack.ok("POST", "/topics", token, json={"name": SECRET, "visibility": "private"})
        await stack.ok("PUT", f"/topics/{SECRET}/subscription", token)
        wanted = {"name": "inboxes", "topics": ["user*"], "scopes": ["read", "publish", "manage"]}
        key = (await stack.ok("POST", "/api-keys", token, json=wanted))["key"]
        yield Owner(stack, token, await stack.id_of("owner"), key)


async def told(channel: Channel, topic: str, count: int) -> None:
    """Wait until the channel was told that count."""
    await channel.until(lambda c: (topic, count) in unread(c))


def unread(channel: Channel) -> list[tuple[str, int]]:
    """The counts that the channel was told."""
    return [(body["topic"], body["unread"]) for event, body in channel.events if event == "unread"]


@pytest.mark.parametrize("key_first", [True, False])
async def test_a_device_and_a_narrow_key_each_get_the_counts_of_their_own(owner: Owner, key_first: bool) -> None:
    tokens = [owner.key, owner.token] if key_first else [owner.token, owner.key]
    inbox = f"user:{owner.id}"
    async with PhoenixClient(owner.socket, tokens[0]) as one, PhoenixClient(owner.socket, tokens[1]) as two:
        channels = [await client.channel("user:me") for client in (one, two)]
        narrow, device = channels if key_first else reversed(channels)
        await told(narrow, inbox, 0)
        await told(device, SECRET, 0)
        for count in (1, 2):
            await owner.publish()
            await told(device, SECRET, count)
        await (one if key_first else two).__aexit__(None, None, None)
        await owner.stack.ok("POST", f"/topics/{SECRET}/acks", owner.token, json={"up_to": 2})
        await device.until(lambda c: unread(c)[-1] == (SECRET, 0))
        await owner.stack.ok("POST", "/users/me/notifications", owner.token, json={"body": "x"})
        await told(device, inbox, 1)
        assert {topic for topic, _ in unread(narrow)} == {inbox}


async def test_a_narrow_key_learns_nothing_of_other_topics_over_rest(owner: Owner) -> None:
    await owner.publish()
    for path in ("/subscriptions", "/topics"):
        items = (await owner.stack.ok("GET", path, owner.key))["items"]
        assert [item for item in items if SECRET in str(item)] == []
    for path in ("/inbox", "/me/threads", f"/me/threads/{owner.id}"):
        assert (await owner.stack.call("GET", path, owner.key)).status == 403
    assert (await owner.stack.call("GET", "/api-keys", owner.key)).status == 403
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/topics/{}", {}),
        ("GET", "/topics/{}/notifications", {}),
        ("GET", "/topics/{}/stream", {}),
        ("GET", "/topics/{}/acks", {}),
        ("GET", "/topics/{}/subscription", {}),
        ("GET", "/topics/{}/subscribers", {}),
        ("PUT", "/topics/{}/subscription", {}),
        ("POST", "/topics/{}/acks", {"json": {"up_to": 1}}),
        ("POST", "/topics/{}/notifications", {"json": {"body": "x"}}),
        ("PATCH", "/topics/{}", {"json": {"title": "mine"}}),
        ("DELETE", "/topics/{}", {}),
    ]
    for method, path, options in calls:
        answers = [
            await owner.stack.call(method, path.format(topic), owner.key, **options) for topic in (SECRET, "no.such")
        ]
        assert [(answer.status, answer.code) for answer in answers] == [(403, "topic_not_covered")] * 2, (method, path)


async def test_a_narrow_key_does_not_learn_who_has_an_account(owner: Owner) -> None:
    await owner.stack.person("other")
    other = await owner.stack.id_of("other")
    wanted = {"name": "narrow", "topics": [SECRET, f"user*{owner.id[-12:]}"], "scopes": ["read", "publish"]}
    key = (await owner.stack.ok("POST", "/api-keys", owner.token, json=wanted))["key"]
    emails, ids = ("other@example.com", "nobody@example.com"), (other, "no-such-user")
    async with PhoenixClient(owner.socket, key) as client:
        me = await client.channel("user:me")
        for names in (emails, ids):
            rest, sent = [], []
            for who in names:
                answer = await owner.stack.call("POST", f"/users/{who}/notifications", key, json={"body": "x"})
                rest.append((answer.status, answer.code, answer.data["detail"].replace(who, "")))
                with pytest.raises(Refused) as refused:
                    await me.push("send", {"to": who, "body": "x"})
                sent.append({name: str(text).replace(who, "") for name, text in refused.value.response.items()})
            assert rest[0] == rest[1]
            assert sent[0] == sent[1]
            assert (rest[0][:2], sent[0]["code"]) == ((403, "topic_not_covered"), "topic_not_covered")
            assert other not in str((rest, sent))
    for who in ("me", "owner@example.com"):
        await owner.stack.ok("POST", f"/users/{who}/notifications", key, json={"body": "x"})
    unknown = await owner.stack.call("POST", f"/users/{emails[1]}/notifications", owner.key, json={"body": "x"})
    assert (unknown.status, unknown.code) == (404, "user_not_found"), "this key covers every inbox"


async def test_a_narrow_key_does_not_learn_what_exists_over_the_socket(owner: Owner) -> None:
    async with PhoenixClient(owner.socket, owner.key) as client:
        answers = []
        for topic in (SECRET, "no.such"):
            with pytest.raises(Refused) as refused:
                await client.channel(f"topic:{topic}")
            answers.append({name: str(text).replace(topic, "") for name, text in refused.value.response.items()})
        assert answers[0] == answers[1]
        assert answers[0]["code"] == "topic_not_covered"


async def test_a_connection_shows_no_more_than_the_token_it_has_now(owner: Owner) -> None:
    async with PhoenixClient(owner.socket, owner.token) as client:
        me, topic = await client.channel("user:me"), await client.channel(f"topic:{SECRET}")
        await told(me, SECRET, 0)
        await me.push("access_token", {"token": await owner.narrow_token()})
        await topic.until(lambda c: c.events[-1][0] == "phx_error")
        async with PhoenixClient(owner.socket, owner.token) as other:
            witness = await other.channel("user:me")
            await owner.publish()
            await told(witness, SECRET, 1)
        assert (SECRET, 1) not in unread(me)
        assert topic.received == []


async def test_a_narrow_key_and_the_owner_read_one_page_at_the_same_time(owner: Owner) -> None:
    for _ in range(3):
        await owner.publish()
    path = f"/topics/{SECRET}/notifications?after=0&limit=2"
    calls = [owner.stack.call("GET", path, who) for who in (owner.key, owner.token) * 5]
    answers = await asyncio.gather(*calls)
    assert [answer.status for answer in answers] == [403, 200] * 5
