"""Who holds a credential that has ended, or that was stolen: it works nowhere within two seconds.

Who has lost the right to read gets nothing that is published after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from notifyx_common.contracts.auth import CREDENTIAL_CHANGES, REQUEST_VERIFICATION
from notifyx_common.principal import PRINCIPAL_HEADER, Principal
from notifyx_gateway.app import GatewayNode
from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, Stack, another_gateway, connect, running_stack, service_token
from support.patience import PATIENCE, until
from support.phoenix import Channel, PhoenixClient, Refused


@dataclass
class Held:
    """What somebody has open with one credential at one gateway."""

    client: PhoenixClient
    channel: Channel
    streams: list[aiohttp.ClientResponse]
    """Opened with the credential itself, and with a ticket that it made."""
    poll: str
    ticket: str
    """The address of a stream with a ticket that was not used."""

    async def ended(self, session: aiohttp.ClientSession) -> None:
        """Wait until all of it has ended."""
        while True:
            async with session.get(self.poll) as response:
                # 403 to a poll that comes after the end, since it shows no credential that would open another session
                if (await response.json())["status"] in (403, 410):
                    break
        for stream in self.streams:
            assert b"token_expired" in await stream.content.read()
        async with session.get(self.ticket) as response:
            assert (response.status, (await response.json())["code"]) == (401, "invalid_ticket")
        await until(lambda: self.client.close_codes, "the socket is closed")
        assert self.client.close_codes[0] == 4001


@dataclass
class TwoGateways:
    """A stack with a second gateway, and what is open."""

    stack: Stack
    other: GatewayNode
    other_url: str
    opened: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def urls(self) -> list[str]:
        return [self.stack.url, self.other_url]

    async def sign_in(self, name: str) -> dict[str, str]:
        """The answer to another sign-in of ``name``."""
        form = {"grant_type": "password", "username": f"{name}@example.com", "password": PASSWORD}
        answer: dict[str, str] = await self.stack.ok("POST", "/token", data=form)
        return answer

    async def exchange(self, key: str) -> str:
        """An access token of an API key."""
        _, client, secret = key.split("_", 2)
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        return str((await self.stack.ok("POST", "/token", data=form))["access_token"])

    async def hold(self, credential: str) -> list[Held]:
        """Open one of each kind with ``credential`` at each gateway."""
        session, held = self.stack.session, []
        for node, url in zip((self.stack.gateway, self.other), self.urls, strict=True):
            client = PhoenixClient(f"ws://127.0.0.1:{node.socket.port}/socket", credential)
            await self.opened.enter_async_context(client)
            bearer = {"Authorization": f"Bearer {credential}"}
            address, tickets = f"{url}/api/v1/topics/plans/stream", []
            for _ in range(2):
                wanted = session.post(f"{url}/api/v1/stream-tickets", json={"topic": "plans"}, headers=bearer)
                async with wanted as made:
                    tickets.append(f"{address}?ticket={(await made.json())['ticket']}")
            opening = (session.get(address, headers=bearer), session.get(tickets[0]))
            streams = [await self.opened.enter_async_context(stream) for stream in opening]
            poll = f"{url}/socket/longpoll?vsn=2.0.0&token="
            async with session.get(f"{poll}null", headers={"X-Phoenix-AuthToken": credential}) as begun:
                poll += (await begun.json())["token"]
            held.append(Held(client, await client.channel("topic:plans"), streams, poll, tickets[1]))
        return held

    async def statuses(self, credentials: Sequence[str]) -> set[int]:
        """What each gateway answers to each credential."""
        found = set()
        for credential in credentials:
            for url in self.urls:
                async with self.stack.session.get(
                    f"{url}/api/v1/topics/plans", headers={"Authorization": f"Bearer {credential}"}
                ) as response:
                    found.add(response.status)
        return found

    async def until(self, credentials: Sequence[str], status: int) -> None:
        """Wait until each gateway answers ``status`` to each credential."""

        async def answered() -> bool:
            return await self.statuses(credentials) == {status}

        await until(answered, f"{status} everywhere")

    async def claim(self, name: str, **answer: str) -> None:
        """Answer a verification mail of ``name``, as its mailbox's owner."""
        me = Principal(id=await self.stack.id_of(name), email=f"{name}@example.com")
        token = service_token("gateway", "auth")
        headers = {"Authorization": f"Bearer {token}", PRINCIPAL_HEADER: me.to_header()}
        path = f"{self.stack.auth_url}{REQUEST_VERIFICATION.path}"
        async with self.stack.session.post(path, headers=headers) as mailed:
            link = (await mailed.json())["token"]
        form = {"token": link, **answer}
        async with self.stack.session.post(f"{self.stack.url}/verify-email", data=form) as done:
            assert done.status == 200, await done.text()


@pytest.fixture
async def two(postgres: Cluster) -> AsyncIterator[TwoGateways]:
    async with running_stack(postgres) as stack, another_gateway() as (url, other):
        await stack.ready()
        connect(stack, other)
        both = TwoGateways(stack, other, url)
        await both.until([await stack.person("ann")], 404)
        plans = {"name": "plans", "visibility": "public", "publishers": ["*"]}
        await stack.ok("POST", "/topics", await stack.person("ann"), json=plans)
        async with both.opened:
            yield both


@pytest.mark.parametrize("ending", ["sign_out", "everywhere", "session", "others", "taken_back", "api_key", "account"])
async def test_what_has_ended_is_open_and_valid_nowhere(two: TwoGateways, ending: str) -> None:
    stack, token = two.stack, await two.stack.person("bob")
    first, second = await two.sign_in("bob"), await two.sign_in("bob")
    sessions = [first["access_token"], second["access_token"]]
    gone, kept = [await stack.ok("POST", "/api-keys", token, json={"name": name}) for name in ("gone", "kept")]
    of_key = await two.exchange(gone["key"])
    ended, others = {
        "sign_out": (sessions[:1], [*sessions[1:], kept["key"], of_key]),
        "everywhere": (sessions, [kept["key"], of_key]),
        "session": (sessions[:1], [*sessions[1:], token, kept["key"], of_key]),
        "others": ([token, sessions[1]], [sessions[0], kept["key"], of_key]),
        "taken_back": ([*sessions, kept["key"], of_key], [await stack.person("ann")]),
        "api_key": ([gone["key"], of_key], [*sessions, kept["key"]]),
        "account": ([*sessions, kept["key"], of_key], [await stack.person("ann")]),
    }[ending]
    open_ended = [held for credential in ended for held in await two.hold(credential)]
    open_others = [held for credential in others[:2] for held in await two.hold(credential)]
    assert await two.statuses(ended) == {200}, "every gateway has them in its caches now"
    if ending == "api_key":
        await stack.ok("DELETE", f"/api-keys/{gone['id']}", token)
    elif ending == "session":
        [own] = [one for one in (await stack.ok("GET", "/me/sessions", sessions[0]))["items"] if one["current"]]
        await stack.ok("DELETE", f"/me/sessions/{own['id']}", token)
    elif ending == "others":
        assert await stack.ok("DELETE", "/me/sessions", sessions[0]) == {"ended": 2}
    elif ending == "account":
        await stack.ok("DELETE", "/me", sessions[0], json={"password": PASSWORD, "topics": "keep"})
    elif ending == "taken_back":
        await two.claim("bob", new_password="another horse battery")
    else:
        form = {"token": first["refresh_token"], "everywhere": str(ending == "everywhere").lower()}
        await stack.ok("POST", "/token/revoke", data=form)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(held.ended(stack.session) for held in open_ended))
    await two.until(ended, 401)
    assert await two.statuses(others) == {200}
    await stack.ok("POST", "/topics/plans/notifications", await stack.person("ann"), json={"body": "x"})
    for held in open_others:
        await held.channel.until(lambda channel: bool(channel.received), PATIENCE)
        assert not held.client.close_codes
        while b"data: " not in await held.streams[0].content.readline():
            pass
    if ending == "taken_back":
        form = {"grant_type": "password", "username": "bob@example.com", "password": "another horse battery"}
        assert await two.statuses([(await stack.ok("POST", "/token", data=form))["access_token"]]) == {200}


class Poller:
    """A long poll of one topic at one gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.messages: list[Any] = []

    async def poll(self) -> None:
        """Take what has come."""
        async with self._session.get(self._url) as response:
            answer = await response.json()
        self.messages += answer["messages"]
        self._url = f"{self._url.partition('token=')[0]}token={answer['token']}"

    async def until(self, event: str) -> None:
        """Poll until ``event`` has come."""
        while not any(json.loads(message)[3] == event for message in self.messages):
            await self.poll()

    async def join(self, topic: str) -> None:
        """Join ``topic``."""
        message = json.dumps(["1", "1", f"topic:{topic}", "phx_join", {}])
        async with self._session.post(
            self._url, data=message, headers={"Content-Type": "application/x-ndjson"}
        ) as done:
            assert (await done.json())["status"] == 200
        await self.until("phx_reply")


@pytest.mark.parametrize("change", [{"readers": []}, {"visibility": "private"}])
async def test_who_may_not_read_any_more_gets_nothing_after_the_answer(
    two: TwoGateways, change: dict[str, Any]
) -> None:
    stack, ann, bob = two.stack, await two.stack.person("ann"), await two.stack.person("bob")
    if "readers" in change:  # for who may not publish either, the topic does not exist any more
        private = {"visibility": "private", "readers": [await stack.id_of("bob")], "publishers": []}
        await stack.ok("PATCH", "/topics/plans", ann, json=private)
    his, hers = await two.hold(bob), await two.hold(ann)
    polls = [Poller(stack.session, held.poll) for held in his]
    for poll in polls:
        await poll.join("plans")
    await stack.ok("POST", "/topics/plans/notifications", ann, json={"body": "before"})
    for held in (*his, *hers):
        await held.channel.until(lambda channel: len(channel.received) == 1)
    await stack.ok("PATCH", "/topics/plans", ann, json=change)
    for _ in range(3):
        await stack.ok("POST", "/topics/plans/notifications", ann, json={"body": "secret"})
    async with asyncio.timeout(PATIENCE):
        for held, poll in zip(his, polls, strict=True):
            await held.channel.until(lambda channel: channel.events[-1:] == [("phx_error", {})])
            assert [one["body"] for one in held.channel.received] == ["before"]
            for stream in held.streams:
                seen = await stream.content.read()
                assert b"before" in seen
                assert b"secret" not in seen
            await poll.until("phx_error")
            assert "before" in str(poll.messages)
            assert "secret" not in str(poll.messages)
    for held in hers:
        await held.channel.until(lambda channel: len(channel.received) == 4)
        assert not held.client.close_codes


async def test_a_gateway_learns_what_ended_while_it_was_cut_off_or_not_there(two: TwoGateways) -> None:
    stack = two.stack
    await stack.person("bob")
    signed_in = await two.sign_in("bob")
    held = await two.hold(signed_in["access_token"])
    connect(stack, two.other, auth="http://127.0.0.1:9")
    calls = two.other.metrics.registry.get_sample_value
    labels = {"target": "auth", "operation": CREDENTIAL_CHANGES.operation, "outcome": "unavailable"}
    await until(lambda: calls("notifyx_client_calls_total", labels), "the other gateway does not reach auth")
    await stack.ok("POST", "/token/revoke", data={"token": signed_in["refresh_token"]})
    async with asyncio.timeout(PATIENCE):
        await held[0].ended(stack.session)
    assert not held[1].client.close_codes, "nobody has told this gateway"
    connect(stack, two.other)
    async with asyncio.timeout(PATIENCE):
        await held[1].ended(stack.session)
    async with another_gateway() as (url, started):
        connect(stack, started)
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        async with asyncio.timeout(PATIENCE):
            status = 503
            while status == 503:
                async with stack.session.get(f"{url}/api/v1/topics/plans", headers=headers) as response:
                    status = response.status
        assert status == 401


async def test_a_verified_address_counts_at_once_with_the_token_that_is_there(two: TwoGateways) -> None:
    stack, bob = two.stack, await two.stack.person("bob")
    for_bob = {"name": "for-bob", "visibility": "private", "readers": ["bob@example.com"]}
    await stack.ok("POST", "/topics", await stack.person("ann"), json=for_bob)
    key = (await stack.ok("POST", "/api-keys", bob, json={"name": "k"}))["key"]
    held = [one for credential in (bob, key) for one in await two.hold(credential)]
    for one in held:
        with pytest.raises(Refused):
            await one.client.channel("topic:for-bob")
    await two.claim("bob", password=PASSWORD)
    for one in held:
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(Refused):
                    await one.client.channel("topic:for-bob")
                    break
                await asyncio.sleep(0.05)
        assert not one.client.close_codes
    for url in two.urls:
        for credential in (bob, key):
            headers = {"Authorization": f"Bearer {credential}"}
            async with stack.session.get(f"{url}/api/v1/topics/for-bob", headers=headers) as response:
                assert response.status == 200
