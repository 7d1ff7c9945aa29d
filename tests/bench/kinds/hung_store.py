"""What a person who publishes and reads a little notices of a store that hangs, beside another store and without."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from bench.case import Cores, Tools
from bench.errors import CannotMeasure, LostDeliveries
from bench.figures import Readings
from bench.kinds.quiet import Act, Taken, figures, steadily
from bench.servers.own import Own, own
from bench.servers.server import Server
from support.patience import PATIENCE
from support.phoenix import Channel, Lost, PhoenixClient, Refused
from support.platform import Person, person

ALONE = 4.0
"""Seconds of the quiet one before a store hangs, and of the rest after it works again."""

FAILURES = (Lost, Refused, AssertionError, aiohttp.ClientError)


@dataclass(frozen=True, slots=True)
class HungStore:
    """Forty publishes over the socket and forty pages over REST a second, while one of ``stores`` stands still."""

    stores: int
    seconds: float = 10.0

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return p99 alone and with the hung store, how long it is noticed, what failed, and when all is well again.

        Raises :class:`LostDeliveries` where an accepted publish is missing, doubled or out of order.
        """
        if not isinstance(server, Own):
            raise CannotMeasure("only the platform is measured")
        with own(server.interpreter, "--stores", str(self.stores), "--mailers", "1") as platform:
            cores.pin(platform)
            return asyncio.run(self._measure(platform, f"{tools.label}.hung"))

    async def _measure(self, server: Own, topic: str) -> Readings:
        async with person(server.platform, "quiet") as quiet:
            await quiet.call("POST", "/topics", json={"name": topic})
            async with (
                PhoenixClient(server.platform.socket, quiet.token) as one,
                PhoenixClient(server.platform.socket, quiet.token) as two,
            ):
                sender, receiver = await one.channel(f"topic:{topic}"), await two.channel(f"topic:{topic}")
                publisher = Publisher(sender)
                reads = _reading(quiet, topic)
                alone = await _both(publisher, reads, ALONE)
                hung = "store" if self.stores == 1 else "store-1"
                async with _hanging(server, hung, self.seconds) as woken:
                    beside = await _both(publisher, reads, self.seconds + ALONE)
                    woke = await woken
                await _all_arrived(receiver, publisher)
        return _compare(alone, beside, woke)


class Publisher:
    """Publishes with keys, and remembers what was accepted."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count()
        self.accepted: dict[int, str] = {}

    async def publish(self) -> None:
        """Publish once, and note the seq."""
        key = f"k{next(self._numbers)}"
        answer = await self._channel.push("publish", {"body": key, "key": key})
        self.accepted[answer["seq"]] = key


def _reading(quiet: Person, topic: str) -> Act:
    return lambda: quiet.call("GET", f"/topics/{topic}/notifications?limit=5")


async def _both(publisher: Publisher, reads: Act, seconds: float) -> dict[str, list[Taken]]:
    published, read = await asyncio.gather(
        steadily(publisher.publish, seconds, failures=FAILURES), steadily(reads, seconds, failures=FAILURES)
    )
    return {"publish": published, "read": read}


@contextlib.asynccontextmanager
async def _hanging(server: Own, name: str, seconds: float) -> AsyncIterator[asyncio.Future[float]]:
    """Stop a store now for ``seconds``; the future has when it went on, in seconds from now."""

    async def hang() -> float:
        begin = time.perf_counter()
        with server.platform.stopped(name):
            await asyncio.sleep(seconds)
        return time.perf_counter() - begin

    task = asyncio.create_task(hang())
    try:
        yield task
    finally:
        await task


async def _all_arrived(receiver: Channel, publisher: Publisher) -> None:
    """Wait for what was accepted. Raises :class:`LostDeliveries`."""
    last = max(publisher.accepted)
    try:
        await receiver.until(lambda c: bool(c.received) and c.received[-1]["seq"] >= last, PATIENCE)
    except TimeoutError:
        raise LostDeliveries("accepted publishes have not arrived") from None
    arrived = {row["seq"]: row["body"] for row in receiver.received}
    if [row["seq"] for row in receiver.received] != list(range(1, len(receiver.received) + 1)):
        raise LostDeliveries("what arrived is not in order, once")
    if len(set(arrived.values())) != len(arrived):
        raise LostDeliveries("something was published twice")
    if any(arrived[seq] != key for seq, key in publisher.accepted.items()):
        raise LostDeliveries("an accepted publish is missing")


def _compare(alone: dict[str, list[Taken]], beside: dict[str, list[Taken]], woke: float) -> Readings:
    found: dict[str, float] = {}
    for way, taken in beside.items():
        found |= figures(f"{way}.alone", alone[way])
        usual = 2 * found[f"{way}.alone.p99"]
        during = [one for one in taken if one.due < woke]
        felt = [one for one in during if one.ms > usual or not one.done]
        found |= figures(f"{way}.hung", during)
        found[f"{way}.ratio"] = found[f"{way}.hung.p99"] / found[f"{way}.alone.p99"]
        found[f"{way}.felt"] = 100 * len(felt) / len(during)
        found[f"{way}.worst"] = max(one.ms for one in during) / 1000
        failed = [one for one in taken if not one.done]
        found[f"{way}.failed"] = len(failed)
        found[f"{way}.told"] = max((one.ms for one in failed), default=0.0) / 1000
        late = [one for one in taken if one.due + one.ms / 1000 > woke and (one.ms > usual or not one.done)]
        found[f"{way}.recovery"] = max((one.due + one.ms / 1000 for one in late), default=woke) - woke
    return found
