"""Watches the nodes of the services: asks each whether it is ready, again and again, and notices who does not answer.

Every node is polled by itself. One that hangs holds up nobody's news about the others. A node that owes an answer stays
watched when it is no endpoint any more, since one that hangs loses its lease, or its readiness.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson

from notifyx_common.background import Tasks
from notifyx_common.caching.memcached import Memcached
from notifyx_common.calls import silence
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import DATABASE, ServiceClient
from notifyx_common.calls.silence import Pace, Silence
from notifyx_common.clock import Clock
from notifyx_common.contracts.mailer import MAILER_STATUS
from notifyx_common.errors import NotifyxError
from notifyx_common.serving.web import Readiness
from notifyx_gateway.dashboard.nodes import MAX_REASON, MEMCACHED, NodeState

PROBE_INTERVAL = 0.4
"""Least time between two questions to one node, in seconds."""

PROBE_TIMEOUT = 3.5
"""Timeout of one poll, in seconds. Then the node is polled anew, on another connection."""

STATUS_TIMEOUT = 1.0
"""Timeout of a mailer's own account of its mail server, in seconds."""

STALE_AFTER = 4.0
"""How long an answer counts, in seconds."""

WATCHED_WHEN_GONE = 120.0
"""How long a silent node is watched after it was an endpoint, in seconds: the machine of a pod may be lost for good."""

MAX_NODES = 50
"""Maximum number of nodes of one service that are watched and shown."""


@dataclass(slots=True)
class _Watched:
    """A node and what is known of it: its last answer, and how long it has owed the next one."""

    client: ServiceClient
    endpoint: Endpoint
    node: NodeState | None = None
    probed_at: float = -math.inf
    answered_at: float = -math.inf
    pending: bool = False
    silence: Silence = field(default_factory=Silence)
    found_at: float = -math.inf
    """When it was an endpoint last."""

    def state(self, now: float, patience: float) -> NodeState | None:
        """Return the state at ``now``; ``None`` while it is not known. ``patience``: maximum silence, in seconds."""
        if self.silence.seconds >= patience:
            return NodeState(self.endpoint.instance, "no answer")
        return self.node if now - self.answered_at < STALE_AFTER else None


class Watch:
    """The nodes that ``clients`` know, without this process, and the servers of ``shared``.

    ``changed`` is called when the state of a node has changed. ``readiness`` is that of this process.
    """

    def __init__(
        self,
        clients: Sequence[ServiceClient],
        *,
        instance: str,
        readiness: Readiness,
        shared: Memcached | None,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._clients = clients
        self._instance = instance
        self._readiness = readiness
        self._shared = shared
        self._clock = clock
        self._changed = changed
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._servers: dict[str, Silence] = {}
        self._pinged_at = -math.inf
        self._pace = Pace()

    def peers(self, client: ServiceClient) -> list[Endpoint]:
        """Return the nodes of a service that are watched, without this process."""
        return [peer for peer in client.endpoints if peer.instance != self._instance][:MAX_NODES]

    def poll(self, session: aiohttp.ClientSession, tasks: Tasks) -> None:
        """Poll the nodes that are due, and count the time of those that owe an answer."""
        now = self._clock.monotonic()
        found = {
            (client.service, endpoint.url): (client, endpoint)
            for client in self._clients
            for endpoint in self.peers(client)
        }
        names = {(service, endpoint.instance) for (service, _), (_, endpoint) in found.items()}
        gone = {
            key: one
            for key, one in self._watched.items()
            if key not in found
            and (one.client.service, one.endpoint.instance) not in names
            and self._is_missed(one, now)
        }
        self._watched = gone | {
            key: self._watched.get(key) or _Watched(client, endpoint) for key, (client, endpoint) in found.items()
        }
        for key, watched in self._watched.items():
            if key in found:
                watched.endpoint, watched.found_at = found[key][1], now
            if not watched.pending and now - watched.probed_at >= PROBE_INTERVAL:
                watched.probed_at, watched.pending = now, True
                tasks.spawn("node probe", self._probe(session, watched))
            if watched.pending:
                watched.silence.observe(now)
        if self._shared is not None:
            self._observe_servers(self._shared, now, tasks)

    async def states(self) -> dict[str, Sequence[NodeState]] | None:
        """Return the state of every node by service, sorted; ``None`` while that of one is not known."""
        now = self._clock.monotonic()
        services: dict[str, Sequence[NodeState]] = {}
        for client in self._clients:
            nodes = [self._state(one, now) for one in self._watched.values() if one.client is client]
            known = [node for node in nodes if node is not None]
            if len(known) < len(nodes):
                return None
            own = [await self._read_own()] if client.service == "gateway" else []
            services[client.service] = sorted([*own, *known], key=lambda node: node.instance)
        if self._shared is not None:
            patience = self._pace.patience(silence.SILENT_AFTER, now)
            services[MEMCACHED] = [
                NodeState(name, "no answer" if owed.seconds >= patience else "ready")
                for name, owed in self._servers.items()
            ]
        return services

    def _is_missed(self, watched: _Watched, now: float) -> bool:
        """Return whether a node that is no endpoint any more is watched on."""
        if watched.pending or watched.silence.seconds:
            return now - watched.found_at < WATCHED_WHEN_GONE
        # In a cluster a node that is not ready is no endpoint. What it says of its database is still true.
        return (
            watched.node is not None and DATABASE in watched.node.failed and self._state(watched, now) is watched.node
        )

    def _state(self, watched: _Watched, now: float) -> NodeState | None:
        return watched.state(now, self._pace.patience(silence.SILENT_AFTER, now))

    def _observe_servers(self, shared: Memcached, now: float, tasks: Tasks) -> None:
        self._servers = {name: self._servers.get(name) or Silence() for name in shared.names}
        available = set(shared.available)
        for name, owed in self._servers.items():
            if name in available:
                owed.end()
            else:
                owed.observe(now)
        if now - self._pinged_at >= PROBE_INTERVAL:
            self._pinged_at = now
            tasks.spawn("memcached probe", shared.ping())

    async def _read_own(self) -> NodeState:
        failures = await self._readiness.failures()
        return NodeState(self._instance, "not ready" if failures else "ready", failures)

    async def _probe(self, session: aiohttp.ClientSession, watched: _Watched) -> None:
        try:
            node = await _probe(session, watched.client, watched.endpoint)
        except TimeoutError:
            return  # it still owes an answer
        finally:
            watched.pending = False
        now = self._clock.monotonic()
        before = self._state(watched, now)
        if node.state == "ready":  # others wait for what is away
            self._pace.note(now, now - watched.probed_at)
        watched.node, watched.answered_at = node, now
        watched.silence.end()
        if before is None or before != node:
            self._changed()


async def _probe(session: aiohttp.ClientSession, client: ServiceClient, endpoint: Endpoint) -> NodeState:
    """Return the node's state. Raises :class:`TimeoutError`."""
    try:
        async with session.get(f"{endpoint.url}/readyz", **client.call_options(endpoint)) as response:
            answer = orjson.loads(await response.read())
            degraded = _reasons(answer.get("degraded", {}))
            if response.status != 200:
                return NodeState(endpoint.instance, "not ready", _reasons(answer.get("failed", {})), degraded)
    except TimeoutError:
        raise
    except (aiohttp.ClientError, ValueError, AttributeError):
        return NodeState(endpoint.instance, "no answer")
    if client.service == "mailer":
        with contextlib.suppress(NotifyxError):
            status = await client.send(MAILER_STATUS, None, endpoint=endpoint, deadline=STATUS_TIMEOUT)
            return NodeState(
                endpoint.instance,
                "ready",
                mail_problem=status.problem,
                mail_problem_since=status.problem_since,
                mail_sent=status.last_sent,
            )
    return NodeState(endpoint.instance, "ready", degraded=degraded)


def _reasons(reasons: dict[str, str]) -> dict[str, str]:
    return {str(name): str(reason)[:MAX_REASON] for name, reason in reasons.items()}
