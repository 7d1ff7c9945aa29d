"""Asks every node how it is: its readiness and its metrics, each with a deadline, the same for all who look.

While nobody looks it asks seldom, so that who comes finds the last minutes drawn; and hardly ever where Prometheus has
those, as each gateway asks every node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

import aiohttp
import orjson
from prometheus_client import CollectorRegistry, generate_latest

from notifyx_common.background import Background, every
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.clock import Clock
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard.frames import frame
from notifyx_gateway.dashboard.history import History
from notifyx_gateway.dashboard.nodes import Node
from notifyx_gateway.dashboard.rates import Nodes
from notifyx_gateway.dashboard.readings import Readings, read

log = get_logger(__name__)

OFTEN, SELDOM, HARDLY = 2.0, 10.0, 60.0
"""Seconds between two rounds while somebody looks, while nobody does, and while nobody does and Prometheus keeps the
history: a minute is what the first words that somebody then reads are about.
"""

LOOKING = 15.0
"""Seconds after a look in which another is expected."""

DEADLINE = 1.5
"""Longest time one node is waited for."""

MOST_NODES = 50
"""Nodes of one service that are asked and shown."""

LONGEST = 4 << 20
"""Most bytes of metrics that are read of one node; our own services say how many there are."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the newest round saw, at ``taken_at`` (UTC) and ``at`` (monotonic)."""

    at: float
    taken_at: datetime
    services: dict[str, Sequence[Node]]
    readings: Nodes = field(repr=False)


class Collector:
    """An async context manager that asks in rounds, every ``rest`` seconds while nobody looks.

    ``own`` is the registry of this very process.
    """

    def __init__(
        self,
        clients: Sequence[ServiceClient],
        *,
        instance: str,
        readiness: Readiness,
        own: CollectorRegistry,
        clock: Clock,
        background: Background,
        rest: float,
    ) -> None:
        self.history = History()
        self._rest = rest
        self._clients = clients
        self._instance = instance
        self._readiness = readiness
        self._own = own
        self._clock = clock
        self._sight: Sight | None = None
        self._looked = -LOOKING
        self._wanted = asyncio.Event()
        self._seen = asyncio.Condition()
        self._tasks = background.tasks()

    async def __aenter__(self) -> Self:
        rounds = every(self._rest, self._next_round, jitter=(0.9, 1.1), wake=self._wanted)
        self._tasks.endless("dashboard", rounds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    async def look(self) -> Sight:
        """What is seen now: the newest round, or the next one where that is too long ago.

        Raises :class:`Unavailable` when no round is done in time.
        """
        now = self._clock.monotonic()
        self._looked = now

        def fresh() -> bool:
            return self._sight is not None and now - self._sight.at < 2 * OFTEN

        if not fresh():
            self._wanted.set()
            try:
                async with asyncio.timeout(2 * OFTEN + DEADLINE), self._seen:
                    await self._seen.wait_for(fresh)
            except TimeoutError:
                raise Unavailable("The nodes could not be asked in time.") from None
        assert self._sight is not None
        return self._sight

    async def _next_round(self) -> float:
        # What one node answers must not end the gateway that asked it.
        with self._tasks.contained("dashboard round"):
            await self._round()
        return OFTEN if self._clock.monotonic() - self._looked < LOOKING else self._rest

    async def _round(self) -> None:
        services: dict[str, Sequence[Node]] = {}
        texts: dict[str, str] = {self._instance: generate_latest(self._own).decode()}
        for client in self._clients:
            others = [one for one in client.endpoints if one.instance != self._instance][:MOST_NODES]
            asked = await asyncio.gather(*(_ask(client, endpoint) for endpoint in others))
            own = [await self._self()] if client.service == "gateway" else []
            services[client.service] = sorted([*own, *(node for node, _ in asked)], key=lambda node: node.instance)
            texts |= {node.instance: text for node, text in asked if text}
        readings = await asyncio.to_thread(_read_all, texts)
        at, before = self._clock.monotonic(), self._sight
        if before is not None:
            self.history.add(frame(at, at - before.at, before.readings, readings))
        async with self._seen:
            self._sight = Sight(at, self._clock.now(), services, readings)
            self._seen.notify_all()

    async def _self(self) -> Node:
        failures = await self._readiness.failures()
        return Node(self._instance, "not ready" if failures else "ready", "; ".join(failures.values()))


def _read_all(texts: dict[str, str]) -> dict[str, Readings]:
    found: dict[str, Readings] = {}
    for node, text in texts.items():
        try:
            found[node] = read(text)
        except ValueError as error:
            log.warning("metrics not understood", node=node, error=str(error))
    return found


async def _ask(client: ServiceClient, endpoint: Endpoint) -> tuple[Node, str]:
    """The node's state, and its metrics where it told them."""
    node, text = await asyncio.gather(_state(client, endpoint), _metrics(client, endpoint))
    return node, text


async def _state(client: ServiceClient, endpoint: Endpoint) -> Node:
    try:
        async with client.session.get(f"{endpoint.url}/readyz", timeout=_timeout()) as response:
            failed = orjson.loads(await response.read()).get("failed", {})
            if response.status == 200:
                return Node(endpoint.instance, "ready")
            return Node(endpoint.instance, "not ready", "; ".join(str(reason) for reason in failed.values())[:300])
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError):
        return Node(endpoint.instance, "no answer")


async def _metrics(client: ServiceClient, endpoint: Endpoint) -> str:
    if not endpoint.metrics_url:
        return ""
    try:
        async with client.session.get(f"{endpoint.metrics_url}/metrics", timeout=_timeout()) as response:
            if response.status != 200 or (response.content_length or LONGEST) > LONGEST:
                return ""
            return (await response.read()).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError):
        return ""


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=DEADLINE)
