"""Joins, leaves, publishes, broken feeds and lost history requests in any order: each join's rows are contiguous."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from notifyx_gateway.delivery.hub import HubSettings
from support.memory_store import MemoryStore
from support.patience import PATIENCE
from support.phoenix import Channel, Lost, PhoenixClient, Refused
from support.socket_gateway import running_gateway

TOTAL = 3000


async def consume(url: str, name: str, chance: random.Random) -> list[tuple[int, list[int]]]:
    """Join with what was seen last, leave after a while, join again, until everything came; each join's rows."""
    joins: list[tuple[int, list[int]]] = []
    seen = 0
    async with PhoenixClient(url, f"user.{name}") as client:
        while seen < TOTAL:
            channel = Channel(client, "topic:news", {"since": seen})
            client._channels["topic:news"] = channel
            with suppress(Refused, Lost):
                await channel.join()
            wanted = min(TOTAL, seen + chance.randrange(1, 600))
            with suppress(TimeoutError):
                await channel.until(lambda c, w=wanted: bool(c.received) and c.received[-1]["seq"] >= w, 2.0)  # type: ignore[misc]
            with suppress(Refused, Lost):
                await channel.push("phx_leave", {})
            got = [row["seq"] for row in channel.received]
            joins.append((seen, got))
            if got:
                seen = got[-1]
    return joins


@pytest.mark.parametrize("seed", range(3))
async def test_every_join_is_contiguous(seed: int) -> None:
    chance = random.Random(seed)
    async with MemoryStore() as memory:
        memory.topic("news")
        async with running_gateway([memory.url], hub_settings=HubSettings(linger=0.05, retry=0.05)) as gateway:

            async def publish() -> None:
                while memory.topics["news"].last_seq < TOTAL:
                    left = TOTAL - memory.topics["news"].last_seq
                    memory.append(
                        "news", "x" * chance.choice([10, 500, 5000]), count=min(left, chance.randrange(1, 60))
                    )
                    if chance.random() < 0.05:
                        await memory.break_feeds()
                    await asyncio.sleep(chance.choice([0, 0, 0.002, 0.02]))

            publisher = asyncio.create_task(publish())
            async with asyncio.timeout(5 * PATIENCE):
                every = await asyncio.gather(
                    *(consume(gateway.url, f"u{n}", random.Random(seed * 100 + n)) for n in range(12))
                )
                await publisher
            for joins in every:
                for since, got in joins:
                    assert got == list(range(since + 1, since + 1 + len(got)))
                assert joins[-1][1][-1] == TOTAL
