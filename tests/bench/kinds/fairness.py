"""What a publisher that sends little notices of an account that sends all it can, on one platform."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import statistics
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.case import Cores, Tools
from bench.figures import Readings
from bench.kinds.company import Turns, more_than
from bench.kinds.quiet import Act, Taken, p99, steadily
from bench.kinds.rest import request
from bench.kinds.sockets import arguments
from bench.load import Load, running
from bench.servers.own import Own, own_platform
from bench.servers.server import Server
from support.phoenix import PhoenixClient
from support.platform import Person, person

SIZES = {"small": 200, "large": 60_000}
CONNECTIONS, WINDOW = 4, 200
REQUESTS = 64
ENOUGH = 1_000_000
"""Messages of a flood, which ends before."""

How = Literal["socket", "rest"]


@dataclass(frozen=True, slots=True)
class Fairness:
    """The quiet one publishes 40 times a second over the socket, and then over REST, for ``seconds`` each: alone,
    beside a flood of small messages and beside its control, and the same with large ones. Both topics share a lane to
    the store.

    That is done ``turns`` times, as a disk or a neighbour may be slow for a while; a percentile is that of all turns.
    """

    by: How = "socket"
    """How the flooding account publishes."""
    seconds: float = 3.0
    turns: int = 3

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return p50 and p99 of the quiet one by way and company, as multiples of those alone and of those beside the
        control, the floods, and how many processors each used.

        ``.ran`` and ``.queued`` are the 99th percentiles of the milliseconds that gateway and store ran, and waited for
        a processor, while a publish was on its way: what the platform did, and what the machine did.
        """
        platform = own_platform(server)
        platform.recycle_log_files()
        cores.pin(platform)
        return asyncio.run(self._measure(tools, platform, cores, f"{tools.label}.quiet"))

    async def _measure(self, tools: Tools, server: Own, cores: Cores, topic: str) -> Readings:
        platform, other = server.platform, same_lane(topic)
        watched = [pid for name, pid in server.processes().items() if name.startswith(("gateway", "store"))]
        floods: defaultdict[str, list[float]] = defaultdict(list)
        cores_used: defaultdict[str, list[float]] = defaultdict(list)
        async with person(platform, "quiet") as quiet, person(platform, "flooder") as flooder:
            for who, name in ((quiet, topic), (flooder, other)):
                await who.call("POST", "/topics", json={"name": name})
            async with PhoenixClient(platform.socket, quiet.token) as client:
                channel = await client.channel(f"topic:{topic}")
                ways: dict[str, Act] = {
                    "socket": lambda: channel.push("publish", {"body": "mine"}),
                    "rest": lambda: quiet.call("POST", f"/topics/{topic}/notifications", json={"body": "mine"}),
                }

                async def publish() -> dict[str, list[Taken]]:
                    return {way: await steadily(act, self.seconds, watched=watched) for way, act in ways.items()}

                turns = Turns(tools, server, cores, publish)
                for _ in range(self.turns):
                    alone = await turns.alone()
                    for company, size in SIZES.items():
                        async with self._flooding(tools, server, cores, flooder, other, size) as load:
                            first, began = await _last_seq(flooder, other), time.perf_counter()
                            beside = await turns.beside(company, load)
                            accepted = await _last_seq(flooder, other) - first
                        floods[company].append(accepted / (time.perf_counter() - began))
                        cost = more_than(alone, beside)
                        cores_used[company].append(sum(cost))
                        cores_used[f"{company}_control"].append(await turns.control(company, cost))
        return self._figures(turns, floods, cores_used)

    def _figures(
        self, turns: Turns, floods: Mapping[str, list[float]], cores_used: Mapping[str, list[float]]
    ) -> Readings:
        found: dict[str, float] = {f"{company}.flood": statistics.mean(rates) for company, rates in floods.items()}
        found |= {f"{company}.cores": statistics.mean(cores) for company, cores in cores_used.items()}
        for key, of_key in turns.taken.items():
            found[f"{key}.ran"] = p99(one.ran for one in of_key)
            found[f"{key}.queued"] = p99(one.queued for one in of_key)
        return {**found, **turns.figures(SIZES)}

    @contextlib.asynccontextmanager
    async def _flooding(
        self, tools: Tools, server: Own, cores: Cores, flooder: Person, topic: str, size: int
    ) -> AsyncIterator[Load]:
        """Publish all that is accepted, from a program in C: one in Python would take a core from the servers."""
        tokens: list[str] = []
        before = await _last_seq(flooder, topic)
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
            while await _last_seq(flooder, topic) < before + WINDOW:
                await asyncio.sleep(0.05)
            yield load


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
