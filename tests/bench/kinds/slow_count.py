"""What a quiet person notices of an account with very much unread that asks for it without a pause."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench.case import Cores, Tools
from bench.figures import Readings
from bench.kinds.company import Turns, more_than
from bench.kinds.quiet import Act, Taken, steadily
from bench.kinds.rest import request
from bench.load import Load, running
from bench.servers.own import Own, own_platform
from bench.servers.server import Server
from support.phoenix import PhoenixClient
from support.platform import Person, person

REQUESTS = 32
"""Requests of the counting account at once."""

ENOUGH = 1_000_000

PATHS = {"inbox": "/api/v1/inbox?unread=true&limit=50", "counts": "/api/v1/subscriptions"}
"""What it asks for: its unread inbox, with the counts of all topics, and the counts alone."""

_TOPICS = """
INSERT INTO topics (id, name, kind, title, visibility, creators, publishers, readers, retention_max_age,
                    retention_max_count, email_default, email_unread_after, email_digest_every, paused, last_seq,
                    pruned_seq, email_seq, created_at, updated_at)
SELECT gen_random_uuid(), '{prefix}.' || number, 'topic', '', 'public', '{{}}', '{{}}', '{{}}', 2592000, 100000,
       'never', 900, 3600, false, {unread}, 0, {unread}, now(), now()
FROM generate_series(1, {topics}) AS number
"""

_SUBSCRIBED = """
INSERT INTO subscriptions (topic_id, user_id, lasting, email_mode, first_seq, acked_up_to, created_at)
SELECT id, '{user}', true, 'never', 1, 0, now() FROM topics WHERE name LIKE '{prefix}.%'
"""

_UNREAD = """
INSERT INTO notifications (topic_id, seq, payload, publisher_id, published_at)
SELECT t.id, seq, json_build_object('seq', seq, 'topic', t.name, 'title', 'unread', 'body', 'of many'), 'bench',
       now() - (1000 - seq) * interval '1 s'
FROM topics t, generate_series(1, {unread}) AS seq WHERE t.name LIKE '{prefix}.%'
"""

_INDEXED = """
INSERT INTO search_ranges (topic_id, first_seq, last_seq, oldest_at, newest_at, bytes)
SELECT id, 1, {unread}, now(), now(), 0 FROM topics WHERE name LIKE '{prefix}.%'
"""

_SETTLED = ("VACUUM (ANALYZE) topics, subscriptions, notifications, search_ranges", "CHECKPOINT")
"""So that nothing in the background follows from how the rows were made: neither the search index, nor autovacuum, nor
a checkpoint."""


@dataclass(frozen=True, slots=True)
class SlowCount:
    """Forty publishes over the socket and forty pages of an inbox over REST a second: alone, and beside an account with
    ``topics`` subscriptions, each with ``unread``, that asks for its inbox, or for its counts, over and over; and
    beside a program that uses as much processor time as that did.

    That is done ``turns`` times for ``seconds``, as in :class:`~bench.kinds.fairness.Fairness`.
    """

    topics: int = 1000
    unread: int = 200
    seconds: float = 3.0
    turns: int = 3

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return p50 and p99 of the quiet one by way and company, to those alone and to those beside the control."""
        platform = own_platform(server)
        platform.recycle_log_files()
        cores.pin(platform)
        return asyncio.run(self._measure(tools, platform, cores, f"{tools.label}.count"))

    async def _measure(self, tools: Tools, server: Own, cores: Cores, topic: str) -> Readings:
        async with person(server.platform, "quiet") as quiet, person(server.platform, "counter") as counter:
            await self._fill(server, counter, f"{topic}.unread")
            await quiet.call("POST", "/topics", json={"name": topic})
            await quiet.call("PUT", f"/topics/{topic}/subscription", json={})
            async with PhoenixClient(server.platform.socket, quiet.token) as client:
                channel = await client.channel(f"topic:{topic}")
                ways: dict[str, Act] = {
                    "publish": lambda: channel.push("publish", {"body": "mine"}),
                    "inbox": lambda: quiet.call("GET", "/inbox?unread=true&limit=10"),
                }

                async def both() -> dict[str, list[Taken]]:
                    taken = await asyncio.gather(*(steadily(act, self.seconds) for act in ways.values()))
                    return dict(zip(ways, taken, strict=True))

                turns = Turns(tools, server, cores, both)
                for _ in range(self.turns):
                    alone = await turns.alone()
                    for name, path in PATHS.items():
                        async with self._asking(tools, server, cores, counter, name, path) as load:
                            beside = await turns.beside(name, load)
                        await turns.control(name, more_than(alone, beside))
        return turns.figures(PATHS)

    @contextlib.asynccontextmanager
    async def _asking(
        self, tools: Tools, server: Own, cores: Cores, counter: Person, name: str, path: str
    ) -> AsyncIterator[Load]:
        """Ask for ``path`` without a pause, from a program in C."""
        file = tools.scratch / f"count-{name}"
        file.write_bytes(request("GET", path, server.http_port, token=counter.token))
        options = ["--port", str(server.http_port), "--connections", str(REQUESTS), "--requests", str(ENOUGH)]
        with running(tools.programs["httpload"], [*options, str(file)], cores=cores.client) as load:
            await asyncio.to_thread(load.figures)
            load.next()
            await asyncio.sleep(1)
            yield load

    async def _fill(self, server: Own, counter: Person, prefix: str) -> None:
        if prefix not in server.filled:
            values = {"prefix": prefix, "topics": self.topics, "unread": self.unread, "user": counter.id}
            for statement in (_TOPICS, _SUBSCRIBED, _UNREAD, _INDEXED, *_SETTLED):
                await server.fetch("store", statement.format(**values))
            server.filled.add(prefix)
