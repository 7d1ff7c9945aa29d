"""Cases of growth: the same work at a small and at a large size, in one run. What counts is the ratio of the two."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.case import Cores, Tools
from bench.errors import CannotMeasure
from bench.figures import Readings
from bench.kinds.rest import BODY, RestLoad, fill, page_request, request, send
from bench.kinds.sockets import USERS, SocketLoad
from bench.servers.own import Own, own
from bench.servers.server import Server

DELIVERIES = 20_000
"""Deliveries a second, however many connections there are."""


def _platform(server: Server) -> Own:
    if not isinstance(server, Own):
        raise CannotMeasure("only the platform is measured")
    return server


def _grown(small: Mapping[str, float], large: Mapping[str, float], key: str) -> Readings:
    return {"small": small[key], "large": large[key], "growth": large[key] / small[key]}


def _mean(found: Sequence[Readings]) -> Readings:
    return {key: statistics.fmean(one[key] for one in found) for key in ("per_second", "cpu.servers")}


@dataclass(frozen=True, slots=True)
class MoreConnections:
    """The gateway's processor time of a delivery, as many a second to few connections as to many."""

    small: int = 100
    large: int = 10_000
    seconds: float = 5

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return both and their ratio."""
        found = []
        for count in (self.small, self.large):
            load = SocketLoad("steady", count, rate=DELIVERIES / count, seconds=self.seconds)
            found.append(load.measure(replace(tools, label=f"{tools.label}.{count}"), _platform(server), cores))
        return _grown(found[0], found[1], "cpu.front")


@dataclass(frozen=True, slots=True)
class MoreTopics:
    """Batches of 100 over REST, to one topic and to very many; items a second."""

    topics: int = 10_000
    requests: int = 200
    batch: int = 100

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return both and their ratio."""
        platform = _platform(server)
        platform.topics("many", self.topics)
        cores.pin(platform)
        found = []
        for topics in (1, self.topics):
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
                "port": str(platform.http_port), "connections": "100", "requests": str(self.requests),
                "count": '"status":201',
            }  # fmt: skip
            found.append(send(tools, requests, options, platform.processes(), cores))
            if found[-1]["counted"] != self.requests * self.batch:
                raise CannotMeasure(f"only {found[-1]['counted']} of {self.requests * self.batch} items were accepted")
        rates = [{"items_per_second": one["per_second"] * self.batch} for one in found]
        return _grown(rates[0], rates[1], "items_per_second")


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
        platform = _platform(server)
        load = SocketLoad("publish", USERS, messages=self.total // self.slices // USERS, topics=USERS)
        found = [load.measure(tools, platform, cores) for _ in range(self.slices)]
        publishes = _grown(_mean(found[:2]), _mean(found[-2:]), "per_second")
        cpu = _grown(_mean(found[:2]), _mean(found[-2:]), "cpu.servers")
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
            "cpu_growth": cpu["growth"],
            "per_second": _mean(found)["per_second"],
            "page_ms": pages[1]["p50_ms"],
            "page_growth": page_growth,
        }


@dataclass(frozen=True, slots=True)
class MoreUnread:
    """Pages of an inbox: of a user with few unread notifications, and of one with very many."""

    small: int = 100
    large: int = 100_000
    requests: int = 1000

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return both rates and their ratio."""
        platform = _platform(server)
        found = []
        for number, count in enumerate((self.small, self.large)):
            load = RestLoad("inbox", self.requests, stored=count, users=1, who=f"unread{number}")
            found.append(load.measure(tools, platform, cores))
        return _grown(found[0], found[1], "per_second")


@dataclass(frozen=True, slots=True)
class MoreNodes:
    """The same publishes to one node of a service and to several, on the same cores."""

    service: str
    nodes: int
    load: SocketLoad

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return both rates and their ratio."""
        platform = _platform(server)
        found = [self.load.measure(tools, platform, cores)]
        with own(platform.interpreter, f"--{self.service}s", str(self.nodes), "--mailers", "1") as larger:
            found.append(self.load.measure(tools, larger, cores))
        return _grown(found[0], found[1], "per_second")
