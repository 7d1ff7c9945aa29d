"""Cases of growth: the same work at a small and at a large size, in one run. What counts is the ratio of the two."""

from __future__ import annotations

import abc
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.case import Cores, Tools
from bench.errors import CannotMeasure
from bench.figures import Readings
from bench.kinds.rest import BODY, RestLoad, fill, page_request, request, send
from bench.kinds.sockets import USERS, SocketLoad
from bench.servers.own import Own, own, own_platform
from bench.servers.server import Server

DELIVERIES = 20_000
"""Deliveries a second, however many connections there are."""


def _grown(small: float, large: float) -> Readings:
    return {"small": small, "large": large, "growth": large / small}


def _mean(found: Sequence[Readings]) -> Readings:
    return {key: statistics.fmean(one[key] for one in found) for key in ("per_second", "cpu.servers")}


class Growth(abc.ABC):
    """One figure of the platform at a small and at a large size."""

    __slots__ = ()

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return both figures and their ratio. Raises :class:`CannotMeasure` for a peer."""
        return _grown(*self._small_and_large(tools, own_platform(server), cores))

    @abc.abstractmethod
    def _small_and_large(self, tools: Tools, platform: Own, cores: Cores) -> tuple[float, float]: ...


@dataclass(frozen=True, slots=True)
class MoreConnections(Growth):
    """The gateway's processor time of a delivery, as many a second to few connections as to many."""

    small: int = 100
    large: int = 10_000
    seconds: float = 5

    def _small_and_large(self, tools: Tools, platform: Own, cores: Cores) -> tuple[float, float]:
        found = []
        for count in (self.small, self.large):
            load = SocketLoad("steady", count, rate=DELIVERIES / count, seconds=self.seconds)
            found.append(load.measure(replace(tools, label=f"{tools.label}.{count}"), platform, cores)["cpu.front"])
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class MoreTopics:
    """Batches of 100 over REST: all items to one topic, each to one of 100, and of very many; items a second."""

    topics: int = 10_000
    requests: int = 200
    batch: int = 100

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return the rates, and what they are to those of fewer topics. Raises :class:`CannotMeasure` for a peer."""
        platform = own_platform(server)
        platform.topics("many", self.topics)
        cores.pin(platform)
        found = []
        for topics in (1, self.batch, self.topics):
            tokens = platform.access_tokens(USERS)
            requests = []
            for number in range(max(USERS, topics // self.batch)):
                names = [f"many.{(number * self.batch + at) % topics}" for at in range(self.batch)]
                items = {"items": [{"topic": name, "body": BODY} for name in names]}
                token = tokens[number % USERS]
                requests.append(
                    request("POST", "/api/v1/notifications:batch", platform.http_port, token=token, body=items)
                )
            options = {
                "port": str(platform.http_port), "connections": "100", "count": '"status":201',
            }  # fmt: skip
            # The first time, no store knows the topics: that is what it costs to begin, not to go on.
            for count in (max(100, len(requests)), self.requests):
                options["requests"] = str(count)
                reading = send(tools, requests, options, platform.processes(), cores)
                if reading["counted"] != count * self.batch:
                    raise CannotMeasure(f"only {reading['counted']} of {count * self.batch} items were accepted")
            found.append(reading)
        one, each, many = (reading["per_second"] * self.batch for reading in found)
        return {**_grown(each, many), "one": one, "each": each / one}


@dataclass(frozen=True, slots=True)
class MoreStored:
    """Very many publishes in a row, in slices: what one takes at the beginning and at the end; then a page of a short
    log and of the long one."""

    total: int = 200_000
    slices: int = 8
    short: int = 100
    requests: int = 1000

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return the rates, the processor time of a publish, the milliseconds of a page, and their ratios."""
        platform = own_platform(server)
        load = SocketLoad("publish", USERS, messages=self.total // self.slices // USERS, topics=USERS)
        found = [load.measure(tools, platform, cores) for _ in range(self.slices)]
        first, last = _mean(found[:2]), _mean(found[-2:])
        publishes = _grown(first["per_second"], last["per_second"])
        short, long = f"{tools.label}.short", f"{tools.label}.t"
        platform.topics(short, 1)
        token = platform.access_tokens(1)[0]
        fill(platform, f"{short}.0", token, self.short)
        pages: list[Readings] = []
        for topic in (short, long):
            page = page_request(f"{topic}.0", platform.http_port, token)
            options = {"port": str(platform.http_port), "connections": "20", "requests": str(self.requests)}
            pages.append(send(tools, [page], options, platform.processes(), cores))
        page_growth = pages[1]["p50_ms"] / pages[0]["p50_ms"]
        return {
            **publishes,
            "cpu_growth": last["cpu.servers"] / first["cpu.servers"],
            "per_second": _mean(found)["per_second"],
            "page_ms": pages[1]["p50_ms"],
            "page_growth": page_growth,
        }


@dataclass(frozen=True, slots=True)
class MoreUnread(Growth):
    """Pages of an inbox: of a user with few unread notifications, and of one with very many."""

    small: int = 100
    large: int = 100_000
    requests: int = 1000

    def _small_and_large(self, tools: Tools, platform: Own, cores: Cores) -> tuple[float, float]:
        found = []
        for number, count in enumerate((self.small, self.large)):
            load = RestLoad("inbox", self.requests, stored=count, users=1, who=f"unread{number}")
            found.append(load.measure(tools, platform, cores)["per_second"])
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class MoreNodes(Growth):
    """The same publishes to one node of a service and to several, on the same cores."""

    service: str
    nodes: int
    load: SocketLoad

    def _small_and_large(self, tools: Tools, platform: Own, cores: Cores) -> tuple[float, float]:
        small = self.load.measure(tools, platform, cores)["per_second"]
        with own(platform.interpreter, f"--{self.service}s", str(self.nodes), "--mailers", "1") as larger:
            return small, self.load.measure(tools, larger, cores)["per_second"]
