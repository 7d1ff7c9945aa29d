"""Polls the readiness and the metrics of every node, each with a timeout. All viewers share one snapshot.

While nobody views the page it polls less often, so that the next viewer finds the last minutes drawn. With Prometheus,
which has the history, it polls even less: each gateway polls every node.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from notifyx_common.contracts.mailer import MAILER_STATUS
from notifyx_common.errors import NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard.incidents import IncidentLog
from notifyx_gateway.dashboard.interval_buffer import IntervalBuffer
from notifyx_gateway.dashboard.intervals import interval_between
from notifyx_gateway.dashboard.nodes import MAX_REASON, NodeState
from notifyx_gateway.dashboard.problems import WINDOW, find_problems
from notifyx_gateway.dashboard.rates import NodeReadings
from notifyx_gateway.dashboard.readings import Readings, read

log = get_logger(__name__)

VIEWED_POLL_INTERVAL = 2.0
"""Poll interval while somebody views the page, in seconds."""

IDLE_POLL_INTERVAL = 10.0
"""Poll interval while nobody does, in seconds."""

IDLE_POLL_INTERVAL_WITH_PROMETHEUS = 60.0
"""Poll interval while nobody does and Prometheus has the history, in seconds; the page's problems cover a minute."""

VIEWER_TIMEOUT = 15.0
"""How long after its last request a viewer counts as present, in seconds."""

METRICS_TIMEOUT = 1.5
"""Timeout of reading a node's metrics, in seconds."""

NODE_TIMEOUT = 3.5
"""Timeout of a node's readiness, in seconds: a node waits 3 s for a database that hangs, and then names it."""

MAX_NODES = 50
"""Maximum number of nodes of one service that are polled and shown."""

MAX_METRICS_BYTES = 4 << 20
"""Maximum size of a node's metrics, in bytes; our own services send a Content-Length."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of a poll of all nodes. ``monotonic`` (seconds) and ``time`` (UTC) are the same moment."""

    monotonic: float
    time: datetime
    services: dict[str, Sequence[NodeState]]
    readings: NodeReadings = field(repr=False)


class Collector:
    """An async context manager that polls in the background, every ``idle_interval`` seconds while nobody views.

    ``own`` is the metrics registry of this process.
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
        idle_interval: float,
    ) -> None:
        self.intervals = IntervalBuffer()
        self.incidents = IncidentLog(clock.now())
        self._idle_interval = idle_interval
        self._clients = clients
        self._instance = instance
        self._readiness = readiness
        self._own = own
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._viewed_at = -VIEWER_TIMEOUT
        self._poll_requested = asyncio.Event()
        self._polled = asyncio.Condition()
        self._session: aiohttp.ClientSession | None = None
        self._tasks = background.tasks()

    async def __aenter__(self) -> Self:
        # Not the clients' sessions: metrics are plain HTTP, and would get the tokens of services.
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=NODE_TIMEOUT))
        rounds = every(self._idle_interval, self._poll, jitter=(0.9, 1.1), wake=self._poll_requested)
        self._tasks.endless("dashboard", rounds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()
        if self._session is not None:
            await self._session.close()

    async def snapshot(self) -> Snapshot:
        """Return the newest snapshot; wait for the next one if it is older than two poll intervals.

        Raises :class:`Unavailable` if no poll completes in time.
        """
        now = self._clock.monotonic()
        self._viewed_at = now

        def fresh() -> bool:
            return self._snapshot is not None and now - self._snapshot.monotonic < 2 * VIEWED_POLL_INTERVAL

        if not fresh():
            self._poll_requested.set()
            try:
                async with asyncio.timeout(2 * VIEWED_POLL_INTERVAL + NODE_TIMEOUT), self._polled:
                    await self._polled.wait_for(fresh)
            except TimeoutError:
                raise Unavailable("The nodes could not be asked in time.") from None
        assert self._snapshot is not None
        return self._snapshot

    async def _poll(self) -> float:
        # What one node answers must not end the gateway that polls it.
        with self._tasks.contained("dashboard round"):
            await self._poll_all()
        viewed = self._clock.monotonic() - self._viewed_at < VIEWER_TIMEOUT
        return VIEWED_POLL_INTERVAL if viewed else self._idle_interval

    async def _poll_all(self) -> None:
        session = self._session
        assert session is not None, "the collector has not been entered"
        services: dict[str, Sequence[NodeState]] = {}
        texts: dict[str, str] = {self._instance: generate_latest(self._own).decode()}
        # At once: a database that hangs holds up the nodes of each service.
        polls = await asyncio.gather(*(self._poll_service(session, client) for client in self._clients))
        for client, answers in zip(self._clients, polls, strict=True):
            own = [await self._read_own()] if client.service == "gateway" else []
            services[client.service] = sorted([*own, *(node for node, _ in answers)], key=lambda node: node.instance)
            texts |= {node.instance: text for node, text in answers if text}
        readings = await asyncio.to_thread(_read_all, texts)
        at, before = self._clock.monotonic(), self._snapshot
        if before is not None:
            self.intervals.add(interval_between(at, at - before.monotonic, before.readings, readings))
        now = self._clock.now()
        lately = self.incidents.lately(now, WINDOW)
        self.incidents.observe(find_problems(services, self.intervals.last(WINDOW), lately), now)
        async with self._polled:
            self._snapshot = Snapshot(at, now, services, readings)
            self._polled.notify_all()

    async def _poll_service(self, session: aiohttp.ClientSession, client: ServiceClient) -> list[tuple[NodeState, str]]:
        endpoints = [peer for peer in client.endpoints if peer.instance != self._instance][:MAX_NODES]
        return await asyncio.gather(*(_poll_node(session, client, endpoint) for endpoint in endpoints))

    async def _read_own(self) -> NodeState:
        failures = await self._readiness.failures()
        return NodeState(self._instance, "not ready" if failures else "ready", failures)


def _read_all(texts: dict[str, str]) -> dict[str, Readings]:
    found: dict[str, Readings] = {}
    for node, text in texts.items():
        try:
            found[node] = read(text)
        except ValueError as error:
            log.warning("metrics_unparsable", node=node, error=str(error))
    return found


async def _poll_node(
    session: aiohttp.ClientSession, client: ServiceClient, endpoint: Endpoint
) -> tuple[NodeState, str]:
    """Return the node's state and its metrics, which are empty if it did not send them."""
    node, text = await asyncio.gather(_state(session, client, endpoint), _metrics(session, endpoint))
    return node, text


async def _state(session: aiohttp.ClientSession, client: ServiceClient, endpoint: Endpoint) -> NodeState:
    try:
        async with session.get(f"{endpoint.url}/readyz", **client.call_options(endpoint)) as response:
            failed = orjson.loads(await response.read()).get("failed", {})
            if response.status != 200:
                reasons = {str(name): str(reason)[:MAX_REASON] for name, reason in failed.items()}
                return NodeState(endpoint.instance, "not ready", reasons)
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError):
        return NodeState(endpoint.instance, "no answer")
    if client.service == "mailer":
        with contextlib.suppress(NotifyxError):
            status = await client.send(MAILER_STATUS, None, endpoint=endpoint, deadline=METRICS_TIMEOUT)
            return NodeState(
                endpoint.instance,
                "ready",
                mail_problem=status.problem,
                mail_problem_since=status.problem_since,
                mail_sent=status.last_sent,
            )
    return NodeState(endpoint.instance, "ready")


async def _metrics(session: aiohttp.ClientSession, endpoint: Endpoint) -> str:
    if not endpoint.metrics_url:
        return ""
    try:
        timeout = aiohttp.ClientTimeout(total=METRICS_TIMEOUT)
        async with session.get(f"{endpoint.metrics_url}/metrics", timeout=timeout) as response:
            if response.status != 200 or (response.content_length or MAX_METRICS_BYTES) > MAX_METRICS_BYTES:
                return ""
            return (await response.read()).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError):
        return ""
