"""What a publisher that sends little notices of an account that sends all it can, on one platform."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import statistics
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from bench.case import Cores, Tools
from bench.errors import CannotMeasure
from bench.figures import Readings
from bench.kinds.rest import request
from bench.kinds.sockets import arguments
from bench.load import Load, running
from bench.servers.own import Own
from bench.servers.server import Server
from support.phoenix import PhoenixClient
from support.platform import Person, person

INTERVAL = 0.025
SIZES = {"small": 200, "large": 60_000}
CONNECTIONS, WINDOW = 4, 200
REQUESTS = 64
ENOUGH = 1_000_000
"""Messages of a flood, which ends before."""

How = Literal["socket", "rest"]
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
        return asyncio.run(self._measure(tools, server, cores, f"{tools.label}.quiet"))

    async def _measure(self, tools: Tools, server: Own, cores: Cores, topic: str) -> Readings:
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
                        async with self._flooding(tools, server, cores, flooder, other, count):
                            first, began = await _last_seq(flooder, other), time.perf_counter()
                            beside = _figures(f"{way}.{size}", await self._latencies(publish))
                            accepted = await _last_seq(flooder, other) - first
                        found |= beside
                        found[f"{way}.{size}.flood"] = accepted / (time.perf_counter() - began)
                        found[f"{way}.{size}.ratio"] = beside[f"{way}.{size}.p99"] / alone[f"{way}.alone.p99"]
        return found

    @contextlib.asynccontextmanager
    async def _flooding(
        self, tools: Tools, server: Own, cores: Cores, flooder: Person, topic: str, size: int
    ) -> AsyncIterator[None]:
        """Publish all that is accepted, from a program in C: one in Python would take a core from the servers."""
        tokens: list[str] = []
        if self.by == "socket":
            program, options = "loadclient", arguments(
                server, topic.removesuffix(".0"), mode="publish", connections=CONNECTIONS, window=WINDOW,
                messages=ENOUGH, size=size,
            )  # fmt: skip
            tokens = [base64.b64encode(flooder.token.encode()).decode().rstrip("=")]
        else:
            file = tools.scratch / f"flood-{size}"
            path = f"/api/v1/topics/{topic}/notifications"
            file.write_bytes(request("POST", path, server.http_port, token=flooder.token, body={"body": "x" * size}))
            program, options = "httpload", ["--port", str(server.http_port), "--connections", str(REQUESTS)]
            options += ["--requests", str(ENOUGH), str(file)]
        with running(tools.programs[program], options, tokens=tokens, cores=cores.client) as load:
            await asyncio.to_thread(_begin, load, 2 if self.by == "socket" else 1)
            while await _last_seq(flooder, topic) < WINDOW:
                await asyncio.sleep(0.05)
            yield

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
    names = (f"{topic}.other{number}.0" for number in range(10_000))
    return next(name for name in names if zlib.crc32(name.encode()) % 64 == lane)


def _begin(load: Load, phases: int) -> None:
    """Pass the phases in which a load client prepares."""
    for _ in range(phases):
        load.figures()
        load.next()


async def _last_seq(who: Person, topic: str) -> int:
    return int((await who.call("GET", f"/topics/{topic}"))["last_seq"])


def _figures(key: str, took: list[float]) -> dict[str, float]:
    return {f"{key}.p50": statistics.median(took), f"{key}.p99": took[int(len(took) * 0.99)]}
