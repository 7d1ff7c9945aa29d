"""What a person who gets few emails, and publishes a little, notices of very many that are due to others."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.case import Cores, Tools
from bench.errors import CannotMeasure
from bench.figures import Readings
from bench.kinds.quiet import figures, steadily
from bench.servers.own import Own, own
from bench.servers.server import Server
from support.patience import PATIENCE
from support.phoenix import Channel, PhoenixClient
from support.platform import Person, person
from support.smtp import Mailbox, running_smtp

BATCH = 100
EVERY = 0.5
"""Seconds between two emails of the quiet one."""

_WRITTEN = "SELECT count(*) FROM outbox"
_DUE = "SELECT count(*) FROM outbox WHERE state = 'pending' AND due_at <= now()"

_SETTLED = ("VACUUM (ANALYZE) outbox, notifications, topics", "CHECKPOINT")
"""So that the emails are measured, and not what PostgreSQL does after they were made due."""


@dataclass(frozen=True, slots=True)
class MailFlood:
    """A mail for the quiet one each half second, and forty publishes a second: alone, and beside a backlog of emails
    that one account's publishes have made due, ``publishes`` to each of ``topics`` with ``readers``.

    The SMTP server takes ``delay`` seconds for each email.
    """

    topics: int = 20
    readers: int = 25
    publishes: int = 40
    delay: float = 0.2
    seconds: float = 8.0

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return the delay of the quiet one's emails and publishes, alone and beside the flood, their ratios, and how
        many other emails a second were sent meanwhile."""
        if not isinstance(server, Own):
            raise CannotMeasure("only the platform is measured")
        with (
            running_smtp() as box,
            own(server.interpreter, "--mailers", "2", "--smtp", f"smtp://127.0.0.1:{box.port}") as platform,
        ):
            cores.pin(platform)
            return asyncio.run(self._measure(platform, box, f"{tools.label}.mail"))

    async def _measure(self, server: Own, box: Mailbox, topic: str) -> Readings:
        async with person(server.platform, "quiet") as quiet, person(server.platform, "flooder") as flooder:
            readers = await asyncio.to_thread(server.access_tokens, self.readers, "reader")
            await server.fetch("auth", "UPDATE users SET email_verified = true")
            await quiet.call("POST", "/topics", json={"name": topic})
            await quiet.call("POST", "/topics", json={"name": f"{topic}.mailed"})
            await quiet.call("PUT", f"/topics/{topic}.mailed/subscription", json={"email": "every"})
            box.delay = self.delay
            async with PhoenixClient(server.platform.socket, quiet.token) as client:
                channel = await client.channel(f"topic:{topic}")
                alone = await self._quiet(channel, quiet, f"{topic}.mailed", box)
                await self._flood(server, flooder, f"{topic}.flood", readers)
                due = await server.fetch("store", _DUE)
                beside = await self._quiet(channel, quiet, f"{topic}.mailed", box)
        found = {f"{key}.alone" + name: value for key in ("mail", "publish") for name, value in alone[key].items()}
        found |= {f"{key}.flood" + name: value for key in ("mail", "publish") for name, value in beside[key].items()}
        found["mail.worst.ratio"] = found["mail.flood.worst"] / found["mail.alone.worst"]
        found["mail.ratio"] = found["mail.flood.p50"] / found["mail.alone.p50"]
        found["publish.ratio"] = found["publish.flood.p99"] / found["publish.alone.p99"]
        return {**found, "due": due}

    async def _flood(self, server: Own, flooder: Person, prefix: str, readers: Sequence[str]) -> None:
        """Make all the emails due."""
        names = [f"{prefix}.{number}" for number in range(self.topics)]
        for name in names:
            await flooder.call("POST", "/topics", json={"name": name})
            for token in readers:
                settings, headers = {"email": "every"}, {"Authorization": f"Bearer {token}"}
                await flooder.call("PUT", f"/topics/{name}/subscription", json=settings, headers=headers)
        items = [
            {"topic": name, "body": "flood", "priority": "urgent"} for name in names for _ in range(self.publishes)
        ]
        for start in range(0, len(items), BATCH):
            await flooder.call("POST", "/notifications:batch", json={"items": items[start : start + BATCH]})
        wanted = len(items) * len(readers)
        async with asyncio.timeout(PATIENCE):
            while await server.fetch("store", _WRITTEN) < wanted:
                await asyncio.sleep(0.1)
        for statement in _SETTLED:
            await server.fetch("store", statement)

    async def _quiet(self, channel: Channel, quiet: Person, mailed: str, box: Mailbox) -> dict[str, Readings]:
        published: dict[str, float] = {}
        began = time.time()

        async def mails() -> list[float]:
            for _ in range(int(self.seconds / EVERY)):
                subject = f"mine {time.time_ns()}"
                published[subject] = time.time()
                body = {"title": subject, "priority": "urgent"}
                await quiet.call("POST", f"/topics/{mailed}/notifications", json=body)
                await asyncio.sleep(EVERY)
            arrived: dict[str, float] = {}
            until = time.time() + PATIENCE
            while len(arrived) < len(published) and time.time() < until:
                mine = [one for one in list(box.received) if one.recipient == quiet.email]
                arrived = {
                    subject: one.at for one in mine for subject in published if subject in str(one.message["Subject"])
                }
                await asyncio.sleep(0.1)
            return [arrived.get(subject, until) - at for subject, at in published.items()]

        took, publishes = await asyncio.gather(
            mails(), steadily(lambda: channel.push("publish", {"body": "mine"}), self.seconds)
        )
        others = [one.at for one in list(box.received) if one.recipient != quiet.email and one.at >= began]
        rate = len(others) / (max(others) - began) if others else 0.0
        mail = {".p50": statistics.median(took), ".worst": max(took), ".others": rate}
        return {"mail": mail, "publish": {f".{k.split('.')[1]}": v for k, v in figures("x", publishes).items()}}
