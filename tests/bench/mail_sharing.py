"""How long 1,000 due emails take with three mailers, by how the gateway hands them over.

Run it with ``.venv/bin/python tests/bench/mail_sharing.py``. The store is a small one in memory, the mailers are real
processes that find each other through a registry, and the SMTP server waits before it takes an email. Each way is
measured in turn, a few times; the best and the median count, since a machine may be busy otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_gateway.mail.dispatch import Dispatcher
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer
from notifyx_gateway.upstream.outbox import Outbox as OutboxCalls
from support.mailers import MailerProcess, client, fleet, static, status_of
from support.outbox import running_outbox
from support.registry import running_registry
from support.smtp import Mailbox, running_smtp

SHARED = 0.6
"""Share of the busiest of three mailers below which a batch counts as shared."""


@dataclass(frozen=True)
class Way:
    """One way to hand over.

    Maximum number of emails of one request, requests at a time to one mailer, and how many of the mailers the gateway
    uses.
    """

    chunk: int
    at_once: int = 2
    entries: int = 3

    def __str__(self) -> str:
        mailers = f"{self.entries} mailer{'s' if self.entries > 1 else ''}"
        return f"{self.at_once} x {self.chunk:4} at a time to {mailers}"


TO_ONE = Way(1000, 1, 1)
"""All in one request to one mailer."""


@dataclass(frozen=True)
class Took:
    """Seconds until all were taken by SMTP, how many came twice, the share of the busiest mailer, and the mailers' CPU
    seconds."""

    seconds: float
    extra: int
    busiest: float
    cpu: float


async def once(way: Way, count: int, box: Mailbox, mailers: list[MailerProcess]) -> Took:
    """Dispatch ``count`` emails; the ids are new each time, for a mailer knows those it has sent."""
    metrics = Metrics()
    async with running_outbox() as outbox:
        here = [Endpoint("books", outbox.url)]
        discovery = static(mailer=[one.endpoint for one in mailers[: way.entries]], store=here, auth=here)
        store, auth, mailer = (client(name, discovery, metrics) for name in ("store", "auth", "mailer"))
        async with store, auth, mailer:
            before = [(await status_of(mailer, one.endpoint)).sent for one in mailers]
            cpu = cpu_seconds(mailers)
            start = time.time_ns() // 1000
            outbox.fill(count, start=start)
            box.received.clear()
            began = time.monotonic()
            async with Dispatcher(
                outbox=OutboxCalls(store, "gateway-1"),
                auth=Auth(auth),
                mailer=Mailer(mailer),
                public_url="https://notifyx.test",
                metrics=metrics,
                clock=SystemClock(),
                background=Background(metrics),
                chunk=way.chunk,
                per_mailer=way.at_once,
                lease_seconds=60,
                task_timeout=30,
            ):
                await box.wait_until(lambda: outbox.states()["sent"] == count, timeout=120)
                seconds = time.monotonic() - began
            shares = [
                (await status_of(mailer, one.endpoint)).sent - was for one, was in zip(mailers, before, strict=True)
            ]
    return Took(seconds, len(box.received) - count, max(shares) / sum(shares), cpu_seconds(mailers) - cpu)


def cpu_seconds(mailers: list[MailerProcess]) -> float:
    """CPU time that the mailers have used so far."""
    times = [psutil.Process(one.process.pid).cpu_times() for one in mailers]
    return sum(one.user + one.system for one in times)


async def main(
    count: int, delays: list[float], ways: list[Way], kept: list[int], rounds: int, connections: str
) -> None:
    """Measure each way, in turn, with mailers that keep up to ``kept`` emails to themselves; print a row for each."""
    with running_smtp() as box, tempfile.TemporaryDirectory() as folder:
        async with contextlib.AsyncExitStack() as stack:
            fleets: dict[int, list[MailerProcess]] = {}
            for size in kept:
                registry = await stack.enter_async_context(running_registry())
                place = Path(folder) / str(size)
                place.mkdir()
                urls = json.dumps([registry.url])
                options = {"chunk": str(size), "smtp_connections": connections, "registry_urls": urls}
                mailers = await stack.enter_async_context(fleet(3, place, box, **options))
                # Each mailer polls the registry; one that has seen its peers shares what it gets, if it shares at all.
                while size < 200 and (await once(TO_ONE, 200, box, mailers)).busiest > SHARED:
                    pass
                fleets[size] = mailers
            for delay in delays:
                box.delay = delay / 1000
                found: dict[tuple[Way, int], list[Took]] = {(way, size): [] for way in ways for size in kept}
                for _ in range(rounds):
                    for (way, size), took in found.items():
                        took.append(await once(way, count, box, fleets[size]))
                for (way, size), took in found.items():
                    seconds = [one.seconds for one in took]
                    print(
                        f"{count} emails, SMTP {delay:g} ms; {way}, kept up to {size:4}: best {min(seconds):5.2f} s, "
                        f"median {statistics.median(seconds):5.2f} s, busiest "
                        f"{statistics.median(one.busiest for one in took):4.0%}, "
                        f"CPU {min(one.cpu for one in took):.2f} s, twice {max(one.extra for one in took)}",
                        flush=True,
                    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--delays", type=float, nargs="+", default=[20, 200], help="milliseconds an email")
    parser.add_argument("--ways", nargs="+", default=["25/2/3", "50/1/3", "100/1/3", "1000/1/1"])
    parser.add_argument("--kept", type=int, nargs="+", default=[1000, 25, 10], help="largest batch a mailer keeps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", default="4", help="SMTP connections of each mailer")
    given = parser.parse_args()
    chosen = [Way(*(int(part) for part in way.split("/"))) for way in given.ways]
    asyncio.run(main(given.count, given.delays, chosen, given.kept, given.rounds, given.connections))
