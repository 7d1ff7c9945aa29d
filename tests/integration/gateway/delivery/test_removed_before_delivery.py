"""What is removed after a client's join and before its delivery: the client is told."""

from __future__ import annotations

import asyncio

from support.memory_store import MemoryStore
from support.patience import PATIENCE, until
from support.phoenix import Channel, PhoenixClient
from support.socket_gateway import running_gateway


def missing(channel: Channel) -> list[dict[str, int]]:
    return [payload for event, payload in channel.events if event == "missing"]


async def test_a_live_client_and_one_that_resumes_are_told() -> None:
    async with MemoryStore() as memory:
        topic = memory.topic("news")
        async with running_gateway([memory.url]) as gateway, PhoenixClient(gateway.url, "user.ann") as client:
            live = await client.channel("topic:news")
            memory.append("news", "x", count=5)
            topic.remove_up_to(3)
            async with asyncio.timeout(PATIENCE):
                await until(lambda: missing(live), "the live one is told")
            await live.until(lambda channel: len(channel.received) == 2)
            assert [row["seq"] for row in live.received] == [4, 5]
            assert [event for event, _ in live.events] == ["missing", "notification", "notification"]
            assert missing(live) == [{"missing": 3, "up_to": 3}]

        # Another gateway, which reads all from the log.
        async with running_gateway([memory.url]) as gateway, PhoenixClient(gateway.url, "user.bob") as client:
            memory.telling_positions.clear()
            asked = memory.positions_read
            joining = asyncio.create_task(client.channel("topic:news", since=0))
            await until(lambda: memory.positions_read > asked, "the store has answered")
            topic.remove_up_to(4)
            memory.telling_positions.set()
            resumed = await joining
            assert resumed.state["missing"] == 3
            await resumed.until(lambda channel: bool(channel.received))
            assert [row["seq"] for row in resumed.received] == [5]
            assert [event for event, _ in resumed.events] == ["missing", "notification"]
            assert missing(resumed) == [{"missing": 1, "up_to": 4}]
            again = await client.channel("topic:news", since=2)
            memory.append("news", "y")
            await until(lambda: again.received and again.received[-1]["seq"] == 6, "the next one comes")
            assert missing(again) == [], "its join has told all"
