"""memcached is killed, frozen and brought back under load: nobody sees an error, and no request waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

import aiohttp
import pytest

from support.patience import PATIENCE
from support.phoenix import PhoenixClient
from support.platform import Platform, person, several_nodes
from support.sharing import Shared

pytestmark = pytest.mark.xdist_group("several-nodes")

WORKERS = 8
ROUND = 120
"""Requests answered in each state of memcached before the next state begins."""


@pytest.fixture(scope="module")
def platform(shared: Shared) -> Platform:
    return shared.enter(several_nodes)


@pytest.mark.slow
async def test_its_loss_costs_no_client_an_error(platform: Platform) -> None:
    memcached = platform.memcached
    if memcached is None:
        pytest.skip("there is no memcached here, and none can be brought")
    async with contextlib.AsyncExitStack() as stack:
        owner = await stack.enter_async_context(person(platform, "cached"))
        await owner.call("POST", "/topics", json={"name": "cached"})
        body = {"name": "load", "topics": ["cached"], "scopes": ["read", "publish"]}
        key = (await owner.call("POST", "/api-keys", json=body))["key"]
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"}, timeout=aiohttp.ClientTimeout(total=PATIENCE)
            )
        )
        listener = await stack.enter_async_context(PhoenixClient(platform.socket, owner.token))
        channel = await listener.channel("topic:cached")
        answers: list[tuple[str, int, str]] = []
        published: list[int] = []
        answered = asyncio.Condition()

        async def note(call: str, response: aiohttp.ClientResponse) -> None:
            answers.append((call, response.status, "" if response.ok else await response.text()))
            async with answered:
                answered.notify_all()

        async def worker() -> None:
            while True:
                async with session.post(
                    f"{platform.api}/topics/cached/notifications", json={"body": "under load"}
                ) as response:
                    await note("publish", response)
                    if response.ok:
                        published.append((await response.json())["seq"])
                async with session.get(f"{platform.api}/topics/cached/notifications?after=0&limit=10") as response:
                    await note("history", response)

        async def some_more() -> None:
            wanted = len(answers) + ROUND
            async with asyncio.timeout(PATIENCE), answered:
                await answered.wait_for(lambda: len(answers) >= wanted)

        workers = [asyncio.create_task(worker()) for _ in range(WORKERS)]
        changes: list[Callable[[], None]] = [
            memcached.kill,
            memcached.start,
            lambda: memcached.signal(signal.SIGSTOP),
            lambda: memcached.signal(signal.SIGCONT),
        ]
        try:
            await some_more()
            for change in changes:
                change()
                await some_more()
        finally:
            for task in workers:
                task.cancel()
            results = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results
        assert [answer for answer in answers if answer[1] >= 400] == []
        await channel.until(lambda it: bool(it.received) and it.received[-1]["seq"] >= max(published))
        seqs = [item["seq"] for item in channel.received]
        assert seqs == list(range(1, len(seqs) + 1))
