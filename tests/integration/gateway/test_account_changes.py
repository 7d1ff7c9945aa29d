"""What changes in an account is told to the user's other devices, at every gateway, and to nobody else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from notifyx_common.principal import Principal
from notifyx_gateway.app import GatewayNode
from notifyx_gateway.delivery.hub import Hub
from notifyx_local.postgres import Cluster
from support.gateway import PASSWORD, Stack, another_gateway, connect, feeds_connected, mailing_stack
from support.patience import PATIENCE, until
from support.phoenix import Channel, PhoenixClient
from support.smtp import Mailbox, running_smtp

EMAIL, OTHER = "ada@example.com", "ada@new.example"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with running_smtp() as running:
        yield running


@pytest.fixture
async def stack(postgres: Cluster, box: Mailbox) -> AsyncIterator[Stack]:
    async with mailing_stack(postgres, box) as running:
        yield running


@dataclass(frozen=True)
class Elsewhere:
    """Another gateway, which learns of changes from auth alone."""

    url: str
    node: GatewayNode

    @property
    def socket(self) -> str:
        return f"ws://127.0.0.1:{self.node.socket.port}/socket"


@pytest.fixture
async def elsewhere(stack: Stack) -> AsyncIterator[Elsewhere]:
    async with another_gateway(credential_changes_interval=0.1) as (url, node):
        connect(stack, node)
        await feeds_connected(stack.gateway, node)
        yield Elsewhere(url, node)


async def link(box: Mailbox, recipient: str) -> str:
    """The token of the newest link that was mailed to ``recipient``."""

    def found() -> list[str]:
        mails = [one.message for one in box.received if one.recipient == recipient]
        bodies = [body.get_content() for mail in mails if (body := mail.get_body(("plain",))) is not None]
        return [match[1] for body in bodies if (match := re.search(r"-email#(\S+)", body)) is not None]

    await box.wait_until(lambda: bool(found()))
    return found()[-1]


class Told:
    """The user's own channel on another device, and how often it was told."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    @property
    def times(self) -> int:
        return sum(event == "account_changed" for event, _ in self.channel.events)

    async def after(self, change: str, before: int) -> None:
        try:
            await self.channel.until(lambda _: self.times > before)
        except TimeoutError:
            pytest.fail(f"{change}: not told")


async def test_every_change_is_told_at_every_gateway_and_to_nobody_else(
    stack: Stack, elsewhere: Elsewhere, box: Mailbox
) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
    narrow = {"name": "n", "topics": ["t"], "scopes": ["read"]}
    of_one_topic = (await stack.ok("POST", "/api-keys", ada, json=narrow))["key"]
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    sockets = [f"ws://127.0.0.1:{stack.gateway.socket.port}/socket", elsewhere.socket]
    async with (
        PhoenixClient(sockets[0], ada) as near,
        PhoenixClient(sockets[1], ada) as far,
        PhoenixClient(sockets[1], bob) as stranger,
        PhoenixClient(sockets[0], of_one_topic) as program,
    ):
        devices = [Told(await client.channel("user:me")) for client in (near, far)]
        others = [Told(await client.channel(name)) for client, name in ((stranger, "user:me"), (program, "topic:t"))]

        async def told_of(change: str, method: str, path: str, status: int = 200, **options: Any) -> Any:
            before = [device.times for device in devices]
            answer = await stack.call(method, path, options.pop("who", laptop), **options)
            assert answer.status == status, (change, answer.raw)
            for device, times in zip(devices, before, strict=True):
                await device.after(change, times)
            return answer.data

        laptop: str | None = None
        signed_in = [await told_of("signed in", "POST", "/token", data=form) for _ in range(2)]
        laptop, watch = signed_in[0]["access_token"], signed_in[1]["refresh_token"]
        await told_of("name", "PATCH", "/me", json={"name": "Ada L."})
        await told_of("time zone", "PUT", "/me/time-zone", json={"time_zone": "Europe/Berlin"})
        before = [device.times for device in devices]
        answer = {"token": await link(box, EMAIL), "password": PASSWORD}
        async with stack.session.post(f"{stack.url}/verify-email", data=answer) as verified:
            assert verified.status == 200, "opened in a browser in which nobody is signed in"
        for device, times in zip(devices, before, strict=True):
            await device.after("address verified", times)
        wish = {"email": OTHER, "password": PASSWORD}
        await told_of("address asked for", "PUT", "/me/email", 202, json=wish)
        await told_of("address cancelled", "DELETE", "/me/email/change", 204)
        key = await told_of("key made", "POST", "/api-keys", 201, json={"name": "k", "scopes": ["read"]})
        await told_of("key deleted", "DELETE", f"/api-keys/{key['id']}", 204)
        hook = await told_of("hook made", "POST", "/topics/t/hooks", 201, json={"kind": "github", "name": "h"})
        await told_of("hook deleted", "DELETE", f"/hooks/{hook['id']}", 204)
        await told_of("signed out", "POST", "/token/revoke", 204, data={"token": watch}, who=None)
        await told_of("others ended", "DELETE", "/me/sessions", who=ada)
        await told_of("password", "PUT", "/me/password", 204, who=ada, json={
            "current_password": PASSWORD, "new_password": "a new horse battery"
        })  # fmt: skip
        assert [device.channel.events[-1] for device in devices] == [("account_changed", {})] * 2
        assert [other.times for other in others] == [0, 0]


async def test_a_new_name_is_on_all_that_is_published_after_it_at_every_gateway(
    stack: Stack, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By credentials that were used with the name before, by their sockets, keys and webhooks; nothing else ends."""
    ada = await stack.person("ada")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k", "scopes": ["publish"]}))["key"]
    hook = await stack.ok("POST", "/topics/t/hooks", ada, json={"kind": "apprise"})
    checked: list[object] = []
    monkeypatch.setattr(Hub, "check", lambda _, sinks, **__: checked.extend(sinks))
    near, far = f"{stack.url}/api/v1", f"{elsewhere.url}/api/v1"

    async def publish(channel: Channel, text: str) -> None:
        for url in (near, far):
            for token in (ada, key):
                headers, body = {"Authorization": f"Bearer {token}"}, {"body": text}
                async with stack.session.post(f"{url}/topics/t/notifications", json=body, headers=headers) as answer:
                    assert answer.status == 201, await answer.text()
            sent = {"version": "1.0", "title": text, "message": text, "type": "info"}
            async with stack.session.post(f"{url}/topics/t/hooks/apprise/{hook['secret']}", json=sent) as answer:
                assert answer.status == 200, await answer.text()
        await channel.publish(text, text)

    async def names(text: str) -> set[str]:
        items = (await stack.ok("GET", "/topics/t/notifications", ada))["items"]
        found = [item["publisher"]["name"] for item in items if item["body"] == text]
        assert len(found) == 7
        return set(found)

    socket = PhoenixClient(elsewhere.socket, ada)
    stream = stack.session.get(f"{far}/topics/t/stream", headers={"Authorization": f"Bearer {ada}"})
    async with socket as client, stream as events:
        channel = await client.channel("topic:t")
        await publish(channel, "before")
        user = Principal(id=(await stack.ok("PATCH", "/me", ada, json={"name": "Ada L."}))["id"])
        await until(lambda: elsewhere.node.credentials.current(user).name == "Ada L.", "the name is known elsewhere")
        await publish(channel, "after")
        assert (await names("before"), await names("after")) == ({"Ada"}, {"Ada L."})
        async with asyncio.timeout(PATIENCE):
            async for line in events.content:
                assert b"restart" not in line
                if b'"after"' in line:
                    break
        assert checked == []
