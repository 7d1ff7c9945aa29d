"""Steady publishing and reading while something breaks, and the proof that nothing was lost, doubled or reordered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from support.phoenix import Channel, PhoenixClient
from support.platform import Served, person

HEARTBEAT = 3.0
"""Seconds after which a client asks a silent server: a node without power closes no connection."""

T = TypeVar("T")

PATIENCE = 60.0
"""Longest time that one publish may need, with all its tries, before it is called a failure."""


@dataclass(slots=True)
class Traffic:
    """What was published and answered, and who listens. ``answered`` maps a body to its seq."""

    topic: str
    clients: list[PhoenixClient]
    channels: list[Channel]
    answered: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _published: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int = 50, deadline: float = PATIENCE) -> None:
        """Wait until ``count`` more publishes are answered: the platform works now. Raises :class:`TimeoutError`."""
        target = len(self.answered) + count
        async with asyncio.timeout(deadline):
            while len(self.answered) < target:
                self._published.clear()
                await self._published.wait()

    async def check(self, deadline: float = 60.0) -> None:
        """Stop publishing; then every subscriber has every answered notification, once, in the order of ``seq``."""
        self._stopping.set()
        await asyncio.sleep(0)
        last = max(self.answered.values())
        by_seq = {seq: body for body, seq in self.answered.items()}
        assert len(by_seq) == len(self.answered), "two publishes were given one seq"
        for channel in self.channels:
            await channel.until(lambda it: bool(it.received) and it.received[-1]["seq"] >= last, deadline=deadline)
            received = [item["seq"] for item in channel.received if item["seq"] <= last]
            assert received == list(range(1, last + 1)), f"lost, doubled or reordered: {_first_wrong(received)}"
            bodies = {item["seq"]: item["body"] for item in channel.received}
            assert all(bodies[seq] == body for seq, body in by_seq.items())

    async def publish(self, channel: Channel, name: str, pause: float) -> None:
        """Publish until told to stop."""
        number = 0
        while not self._stopping.is_set():
            number += 1
            body = f"{name}-{number}"
            started = time.monotonic()
            async with asyncio.timeout(PATIENCE):
                self.answered[body] = await channel.publish(body, body)
            self.slowest = max(self.slowest, time.monotonic() - started)
            self._published.set()
            await asyncio.sleep(pause)


async def aside(work: Callable[..., T], *arguments: object) -> T:
    """Run what waits (kubectl, a node's boot) without holding up the traffic."""
    return await asyncio.to_thread(work, *arguments)


@contextlib.asynccontextmanager
async def traffic(
    platform: Served, topic: str, *, subscribers: int = 20, publishers: int = 3, pause: float = 0.1
) -> AsyncIterator[Traffic]:
    """Publishers and subscribers on a new topic. On leaving without an error, :meth:`Traffic.check` holds."""
    async with contextlib.AsyncExitStack() as stack:
        owner = await stack.enter_async_context(person(platform, "traffic-owner"))
        reader = await stack.enter_async_context(person(platform, "traffic-reader"))
        await owner.call("POST", "/topics", json={"name": topic})

        async def client(token: str) -> PhoenixClient:
            return await stack.enter_async_context(PhoenixClient(platform.socket, token, heartbeat=HEARTBEAT))

        readers = [await client(reader.token) for _ in range(subscribers)]
        channels = [await one.channel(f"topic:{topic}") for one in readers]
        writers = [await client(owner.token) for _ in range(publishers)]
        sources = [await one.channel(f"topic:{topic}") for one in writers]
        flowing = Traffic(topic, readers, channels)
        async with asyncio.TaskGroup() as group:
            for number, source in enumerate(sources):
                group.create_task(flowing.publish(source, f"publisher{number}", pause))
            await flowing.more()
            yield flowing
            flowing._stopping.set()
        await flowing.check()


def _first_wrong(received: list[int]) -> str:
    for place, seq in enumerate(received):
        if seq != place + 1:
            return f"{seq} came where {place + 1} was due, of {len(received)}"
    return f"the last is {received[-1] if received else 'none'}"
