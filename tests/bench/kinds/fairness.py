"""What a publisher that sends little notices of an account that sends all it can, on one platform."""

from __future__ import annotations

import asyncio
import statistics
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.case import Cores, Tools
from bench.errors import CannotMeasure
from bench.figures import Readings
from bench.flood import How, flooding
from bench.servers.own import Own
from bench.servers.server import Server
from support.phoenix import PhoenixClient
from support.platform import person

INTERVAL = 0.025
SIZES = {"small": 200, "large": 60_000}

Publish = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Fairness:
    """The quiet one publishes 40 times a second, over the socket and over REST: alone, beside a flood of small
    messages, and beside one of large ones. Both topics share a lane to the store."""

    by: How = "socket"
    """How the flooding account publishes."""
    seconds: float = 4.0

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return p50 and p99 of the quiet one by way and company, p99 as a multiple of that alone, and the floods."""
        if not isinstance(server, Own):
            raise CannotMeasure("only the platform is measured")
        cores.pin(server)
        return asyncio.run(self._measure(server, f"{tools.label}.quiet"))

    async def _measure(self, server: Own, topic: str) -> Readings:
        platform, other, found = server.platform, same_lane(topic), dict[str, float]()
        async with person(platform, "quiet") as quiet, person(platform, "flooder") as flooder:
            for who, name in ((quiet, topic), (flooder, other)):
                await who.call("POST", "/topics", json={"name": name})
            async with PhoenixClient(platform.socket, quiet.token) as client:
                channel = await client.channel(f"topic:{topic}")
                ways: dict[str, Publish] = {
                    "socket": lambda: channel.push("publish", {"body": "mine"}),
                    "rest": lambda: quiet.call("POST", f"/topics/{topic}/notifications", json={"body": "mine"}),
                }
                for way, publish in ways.items():
                    alone = _figures(f"{way}.alone", await self._latencies(publish))
                    found |= alone
                    for size, count in SIZES.items():
                        url = platform.socket if self.by == "socket" else platform.api
                        async with flooding(self.by, url, flooder.token, other, count) as rate:
                            beside = _figures(f"{way}.{size}", await self._latencies(publish))
                        found |= beside
                        found[f"{way}.{size}.flood"] = rate[0]
                        found[f"{way}.{size}.ratio"] = beside[f"{way}.{size}.p99"] / alone[f"{way}.alone.p99"]
        return found

    async def _latencies(self, publish: Publish) -> list[float]:
        """Publish at a fixed rate, each when it is due; return what each took from then on, in milliseconds, sorted."""
        took: list[float] = []

        async def one(due: float) -> None:
            await publish()
            took.append((time.perf_counter() - due) * 1000)

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(self.seconds / INTERVAL)):
                due = begin + number * INTERVAL
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(one(due))
        return sorted(took)


def same_lane(topic: str) -> str:
    """Return another topic's name that shares a lane with ``topic``, whatever their number."""
    lane = zlib.crc32(topic.encode()) % 64
    names = (f"{topic}.other.{number}" for number in range(10_000))
    return next(name for name in names if zlib.crc32(name.encode()) % 64 == lane)


def _figures(key: str, took: list[float]) -> dict[str, float]:
    return {f"{key}.p50": statistics.median(took), f"{key}.p99": took[int(len(took) * 0.99)]}
