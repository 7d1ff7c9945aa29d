"""The promise, under ``kill -9``: what was answered is delivered to every subscriber, once, in order."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from support.patience import PATIENCE
from support.phoenix import Channel, PhoenixClient
from support.platform import Person, Platform, eventually, ledger, person, several_nodes
from support.sharing import Shared

pytestmark = pytest.mark.xdist_group("several-nodes")

PUBLISHES = 2000
SUBSCRIBERS = 50
IN_FLIGHT = 40


@pytest.fixture(scope="module")
def platform(shared: Shared) -> Platform:
    return shared.enter(several_nodes)


async def publish_all(channel: Channel, half_way: asyncio.Event) -> dict[str, int]:
    """Publish every body until it is answered; a body that was answered maps to its seq."""
    answered: dict[str, int] = {}
    queue = list(range(PUBLISHES))[::-1]

    async def worker() -> None:
        while queue:
            body = f"message {queue.pop()}"
            answered[body] = await channel.publish(body, body.replace(" ", "-"))
            if len(answered) >= PUBLISHES * 2 // 5:
                half_way.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(worker())
    return answered


async def ledger_balances(platform: Platform, topic: str, due: int) -> bool:
    current = await ledger(platform)
    row = next((row for row in current["topics"] if row["topic"] == topic), None)
    assert row is not None
    return bool(current["balanced"]) and row["due"] == due


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["gateway-1", "store-1", "postgres"])
async def test_nothing_answered_is_lost_doubled_or_reordered(platform: Platform, victim: str) -> None:
    topic = f"kill.{victim}"
    async with contextlib.AsyncExitStack() as stack:
        publisher: Person = await stack.enter_async_context(person(platform, f"publisher-{victim}"))
        readers = [await stack.enter_async_context(person(platform, f"reader{n}-{victim}")) for n in range(5)]
        await publisher.call("POST", "/topics", json={"name": topic})
        for reader in readers:
            await reader.call("PUT", f"/topics/{topic}/subscription", json={"email": "never"})
        clients = [
            await stack.enter_async_context(PhoenixClient(platform.socket, readers[n % 5].token))
            for n in range(SUBSCRIBERS)
        ]
        channels = [await client.channel(f"topic:{topic}") for client in clients]
        sender = await stack.enter_async_context(PhoenixClient(platform.socket, publisher.token))
        source = await sender.channel(f"topic:{topic}")

        half_way = asyncio.Event()
        publishing = asyncio.create_task(publish_all(source, half_way))
        await asyncio.wait_for(half_way.wait(), 5 * PATIENCE)
        killed = platform.kill(victim)
        answered = await asyncio.wait_for(publishing, 5 * PATIENCE)

        assert len(answered) == PUBLISHES
        assert sorted(answered.values()) == list(range(1, PUBLISHES + 1)), "each key took exactly one seq"
        by_seq = {seq: body for body, seq in answered.items()}
        for channel in [*channels, source]:
            await channel.until(lambda it: bool(it.received) and it.received[-1]["seq"] >= PUBLISHES)
            assert [item["seq"] for item in channel.received] == list(range(1, PUBLISHES + 1))
            assert all(item["body"] == by_seq[item["seq"]] for item in channel.received)
        await eventually(lambda: restarted(platform, victim, killed))

        await channels[0].push("ack", {"up_to": PUBLISHES // 2})
        await eventually(lambda: ledger_balances(platform, topic, due=5 * PUBLISHES))


async def restarted(platform: Platform, victim: str, old: int) -> bool:
    return platform.running().get(victim, old) != old
