"""What the status page shows: the nodes of each service as this gateway sees them, asked now.

Every node is asked for its readiness with a short deadline; the answer is shared by all who look within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import orjson

from notifyx_common.balancer import Endpoint
from notifyx_common.client import ServiceClient
from notifyx_common.clock import Clock, rfc3339
from notifyx_common.web import Readiness

ASK_SECONDS = 1.0
SHARED_SECONDS = 1.0
MOST_NODES = 50
"""Nodes of one service that are asked and shown."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: ``state`` is ``ready``, ``not ready`` or ``no answer``; ``why`` says more."""

    instance: str
    state: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The page's data. ``connections`` is by transport, of this gateway alone."""

    services: Mapping[str, Sequence[Node]]
    connections: Mapping[str, int]
    memcached: Sequence[str]
    taken_at: str

    @property
    def healthy(self) -> bool:
        """Whether every service has a node that is ready."""
        return all(any(node.state == "ready" for node in nodes) for nodes in self.services.values())


class StatusBoard:
    """Asks the nodes of ``clients``; of this gateway it knows by itself."""

    def __init__(
        self,
        clients: Sequence[ServiceClient],
        *,
        instance: str,
        readiness: Readiness,
        connections: Callable[[], Mapping[str, int]],
        memcached: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        self._clients = clients
        self._instance = instance
        self._readiness = readiness
        self._connections = connections
        self._memcached = memcached
        self._clock = clock
        self._latest: Status | None = None
        self._latest_at = 0.0
        self._lock = asyncio.Lock()

    async def read(self) -> Status:
        """The status now, or a second ago at most."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._latest is None or now - self._latest_at > SHARED_SECONDS:
                self._latest, self._latest_at = await self._collect(), now
            return self._latest

    async def _collect(self) -> Status:
        failures = await self._readiness.failures()
        why = "; ".join(failures.values())
        services: dict[str, Sequence[Node]] = {
            "gateway": [Node(self._instance, "not ready" if failures else "ready", why)]
        }
        for client in self._clients:
            asked = (_ask(client, endpoint) for endpoint in client.endpoints[:MOST_NODES])
            services[client.service] = await asyncio.gather(*asked)
        return Status(services, self._connections(), self._memcached(), rfc3339(self._clock.now()))


async def _ask(client: ServiceClient, endpoint: Endpoint) -> Node:
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    try:
        async with client.session.get(f"{endpoint.url}/readyz", timeout=timeout) as response:
            failed = orjson.loads(await response.read()).get("failed", {})
            if response.status == 200:
                return Node(endpoint.instance, "ready")
            return Node(endpoint.instance, "not ready", "; ".join(str(reason) for reason in failed.values())[:300])
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError):
        return Node(endpoint.instance, "no answer")
