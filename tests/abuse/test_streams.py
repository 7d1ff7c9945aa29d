"""Event streams of one account, and of one client behind a proxy that nobody named: others keep theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from notifyx_local.postgres import Cluster
from support.gateway import Stack, running_stack
from support.patience import PATIENCE

pytestmark = pytest.mark.xdist_group("abuse")


@pytest.fixture
async def stack(postgres: Cluster) -> AsyncIterator[Stack]:
    limits = {"max_streams_per_user": 3, "max_streams_per_address": 5, "sign_up_burst": 3, "sign_up_interval": 600}
    async with running_stack(postgres, gateway=limits) as running:
        await running.ok("POST", "/topics", await running.person("ada"), json={"name": "t"})
        yield running


async def opened(
    streams: contextlib.AsyncExitStack, stack: Stack, token: str, address: str = ""
) -> aiohttp.ClientResponse:
    headers = {"Authorization": f"Bearer {token}", **({"X-Forwarded-For": address} if address else {})}
    url = f"{stack.url}/api/v1/topics/t/stream"
    response = await streams.enter_async_context(stack.session.get(url, headers=headers))
    if response.status == 200:
        await response.content.readuntil(b"joined")
    return response


async def test_one_account_takes_no_more_than_its_streams(stack: Stack) -> None:
    ada, eve = await stack.person("ada"), await stack.person("eve")
    key = (await stack.ok("POST", "/api-keys", eve, json={"name": "k"}))["key"]
    async with contextlib.AsyncExitStack() as streams:
        got = await asyncio.gather(*(opened(streams, stack, token) for token in [eve, key] * 4))
        assert sorted(response.status for response in got) == [200] * 3 + [429] * 5
        refused = await stack.call("GET", "/topics/t/stream", key)
        assert (refused.code, refused.headers["Retry-After"]) == ("too_many_streams", "30")
        assert (await opened(streams, stack, ada)).status == 200
        count = stack.gateway.metrics.registry.get_sample_value("notifyx_connections_rejected_total", {"cap": "user"})
        assert count == 6
    async with asyncio.timeout(PATIENCE):  # their places are free again
        while (await stack.call("HEAD", "/topics/t/stream", eve)).status != 200:
            await asyncio.sleep(0.02)


async def test_one_client_behind_an_unnamed_proxy_uses_up_its_own_limit(stack: Stack) -> None:
    async def sign_up(number: int, *hops: str) -> int:
        person = {"email": f"p{number}@example.com", "password": "correct horse battery", "name": "P"}
        headers = [("X-Forwarded-For", hop) for hop in hops]
        url = f"{stack.url}/api/v1/users"
        async with stack.session.post(url, json=person, headers=headers) as response:
            return response.status

    # What a client sends itself comes before what the proxy adds, in one line or in two.
    stranger = [await sign_up(n, f"198.51.100.{n}, 203.0.113.9") for n in range(3)]
    stranger += [await sign_up(n, f"198.51.100.{n}", "203.0.113.9") for n in range(3, 6)]
    assert stranger == [201] * 3 + [429] * 3
    assert await sign_up(7, "203.0.113.10") == 201
    assert stack.gateway.metrics.registry.get_sample_value("notifyx_forwarded_untrusted_total") == 7
