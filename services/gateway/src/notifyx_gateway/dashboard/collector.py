"""Watches every node and reads its metrics. All viewers share one snapshot.

A new snapshot is made when the state of a node has changed, and else from time to time. While nobody views the page it
polls less often, so that the next viewer finds the last minutes drawn. With Prometheus, which has the history, it polls
even less: each gateway polls every node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Self

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest

from notifyx_common.background import Background, every
from notifyx_common.caching.memcached import Memcached
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.silence import TICK
from notifyx_common.clock import Clock
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard.incident_sync import IncidentSync, Merge
from notifyx_gateway.dashboard.incidents import IncidentLog
from notifyx_gateway.dashboard.interval_buffer import IntervalBuffer
from notifyx_gateway.dashboard.intervals import interval_between
from notifyx_gateway.dashboard.nodes import NodeState
from notifyx_gateway.dashboard.problems import WINDOW, find_problems
from notifyx_gateway.dashboard.rates import NodeReadings
from notifyx_gateway.dashboard.readings import Readings, read
from notifyx_gateway.dashboard.watch import PROBE_TIMEOUT, STALE_AFTER, Watch

log = get_logger(__name__)

VIEWED_POLL_INTERVAL = 2.0
"""Interval of metrics and snapshots while somebody views the page and nothing changes, in seconds."""

IDLE_POLL_INTERVAL = 10.0
"""Poll interval while nobody does, in seconds."""

IDLE_POLL_INTERVAL_WITH_PROMETHEUS = 60.0
"""Poll interval while nobody does and Prometheus has the history, in seconds; the page's problems cover a minute."""

VIEWER_TIMEOUT = 15.0
"""How long after its last request a viewer counts as present, in seconds."""

METRICS_TIMEOUT = 1.5
"""Timeout of reading a node's metrics, in seconds."""

MAX_METRICS_BYTES = 4 << 20
"""Maximum size of a node's metrics, in bytes; our own services send a Content-Length."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of all nodes at one moment. ``monotonic`` (seconds) and ``time`` (UTC) are the same moment.

    ``version`` differs from that of every other snapshot, also of another gateway.
    """

    version: str
    monotonic: float
    time: datetime
    services: dict[str, Sequence[NodeState]]


@dataclass(frozen=True, slots=True)
class _Metrics:
    """The metrics of all nodes that sent them, and when they were there (monotonic seconds)."""

    monotonic: float
    readings: NodeReadings = field(repr=False)


class Collector:
    """An async context manager that polls in the background, every ``idle_interval`` seconds while nobody views.

    ``own`` is the metrics registry of this process. Without ``merge_incidents``, incidents end with it.
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
        shared: Memcached | None = None,
        merge_incidents: Merge | None = None,
    ) -> None:
        self.intervals = IntervalBuffer()
        self.incidents = IncidentLog(clock.now())
        self._idle_interval = idle_interval
        self._clients = clients
        self._instance = instance
        self._own = own
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self.made = 0
        """Number of snapshots so far."""

        self._metrics: _Metrics | None = None
        self._reading = False
        self._viewed_at = -VIEWER_TIMEOUT
        self._poll_requested = asyncio.Event()
        self._polled = asyncio.Condition()
        self._session: aiohttp.ClientSession | None = None
        self._tasks = background.tasks()
        self._sync = IncidentSync(self.incidents, merge_incidents, clock) if merge_incidents is not None else None
        self._watch = Watch(
            clients,
            instance=instance,
            readiness=readiness,
            shared=shared,
            clock=clock,
            changed=self._poll_requested.set,
        )
        # A node that comes or goes is news, also while nobody views: the next one to do so must not read of before.
        for client in clients:
            client.listen(self._poll_requested.set)

    async def __aenter__(self) -> Self:
        # Not the clients' sessions: metrics are plain HTTP, and would get the tokens of services.
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_TIMEOUT))
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
        now = self._viewed_at = self._clock.monotonic()
        if self._snapshot is None or now - self._snapshot.monotonic >= 2 * VIEWED_POLL_INTERVAL:
            before = self._snapshot
            self._poll_requested.set()
            try:
                async with asyncio.timeout(2 * VIEWED_POLL_INTERVAL + PROBE_TIMEOUT), self._polled:
                    await self._polled.wait_for(lambda: self._snapshot is not before)
            except TimeoutError:
                raise Unavailable("The nodes could not be polled in time.") from None
        assert self._snapshot is not None
        return self._snapshot

    async def newer(self, version: str, within: float) -> Snapshot | None:
        """Return a snapshot other than that of ``version`` as soon as there is one, in at most ``within`` seconds."""
        known = await self.snapshot()
        if known.version != version:
            return known
        try:
            async with asyncio.timeout(within), self._polled:
                await self._polled.wait_for(lambda: self._snapshot is not known)
        except TimeoutError:
            return None
        return self._snapshot

    async def _poll(self) -> float:
        # What one node answers must not end the gateway that polls it.
        with self._tasks.contained("dashboard round"):
            decided = await self._poll_nodes()
            idle = self._idle_interval
            if self._sync is not None:
                self._sync.start(self._tasks)
                idle = min(idle, max(TICK, self._sync.pause()))
            viewed = self._clock.monotonic() - self._viewed_at < VIEWER_TIMEOUT
            return TICK if viewed or not decided else idle
        return VIEWED_POLL_INTERVAL

    async def _poll_nodes(self) -> bool:
        """Poll the nodes once; make a snapshot where there is news. Return whether everything is known."""
        session = self._session
        assert session is not None, "the collector has not been entered"
        self._watch.poll(session, self._tasks)
        services, now, metrics = await self._watch.states(), self._clock.monotonic(), self._metrics
        if metrics is None or now - metrics.monotonic >= VIEWED_POLL_INTERVAL:
            self._read_metrics(session)
        if services is None or metrics is None:
            return False
        before, stale = self._snapshot, now - metrics.monotonic >= STALE_AFTER
        # What is new of the nodes does not wait for metrics, which a node that hangs holds up.
        news = before is not None and _news(before.services, services)
        due = before is None or now - before.monotonic >= VIEWED_POLL_INTERVAL
        if news or (due and not stale):
            await self._publish(services)
        return not stale

    async def _publish(self, services: dict[str, Sequence[NodeState]]) -> None:
        now = self._clock.now()
        lately = self.incidents.lately(now, WINDOW)
        self.incidents.observe(find_problems(services, self.intervals.last(WINDOW), lately), now)
        self.made += 1
        async with self._polled:
            version = f"{self._instance}:{self.made}"
            self._snapshot = Snapshot(version, self._clock.monotonic(), now, services)
            self._polled.notify_all()

    def _read_metrics(self, session: aiohttp.ClientSession) -> None:
        if not self._reading:
            self._reading = True
            self._tasks.spawn("node metrics", self._read_all_metrics(session))

    async def _read_all_metrics(self, session: aiohttp.ClientSession) -> None:
        try:
            endpoints = [endpoint for client in self._clients for endpoint in self._watch.peers(client)]
            texts = {self._instance: generate_latest(self._own).decode()}
            # At once: a node that hangs holds up none of the others.
            answers = await asyncio.gather(*(_metrics(session, endpoint) for endpoint in endpoints))
            texts |= {endpoint.instance: text for endpoint, text in zip(endpoints, answers, strict=True) if text}
            readings = await asyncio.to_thread(_read_all, texts)
            at, before = self._clock.monotonic(), self._metrics
            if before is not None:
                self.intervals.add(interval_between(at, at - before.monotonic, before.readings, readings))
            self._metrics = _Metrics(at, readings)
        finally:
            self._reading = False
        self._poll_requested.set()


def _news(before: Mapping[str, Sequence[NodeState]], now: Mapping[str, Sequence[NodeState]]) -> bool:
    """Return whether a node's state has changed. When a mailer sent last changes all the time, and is none."""

    def compared(services: Mapping[str, Sequence[NodeState]]) -> dict[str, list[NodeState]]:
        return {service: [replace(node, mail_sent=None) for node in nodes] for service, nodes in services.items()}

    return compared(before) != compared(now)


def _read_all(texts: dict[str, str]) -> dict[str, Readings]:
    found: dict[str, Readings] = {}
    for node, text in texts.items():
        try:
            found[node] = read(text)
        except ValueError as error:
            log.warning("metrics_unparsable", node=node, error=str(error))
    return found


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
