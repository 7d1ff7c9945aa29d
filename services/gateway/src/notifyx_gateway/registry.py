"""The registry of nodes outside a cluster: each service holds a lease and renews it.

:class:`LeaseTable` is pure: no clock, no I/O. :class:`Registry` adds the clock and a timer, and updates the gateway's
own clients: they call a new node at once, and a silent one no longer than its lease.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from notifyx_common.background import Background, every
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import Clock
from notifyx_common.contracts.registry import Lease
from notifyx_common.errors import TooManyRequests
from notifyx_common.logs import get_logger

log = get_logger(__name__)

MAX_NODES = 1000

LATE = 0.5
"""By how much the timer of ended leases may be late, in seconds. If it is later, this process did not run."""


class LeaseTable:
    """Leases by (service, instance), each with the moment it ends (monotonic seconds).

    An address belongs to the node that registered it last: a process that was killed and restarted under another name
    replaces its old lease.
    """

    def __init__(self, max_nodes: int = MAX_NODES) -> None:
        self._leases: dict[tuple[str, str], tuple[Lease, float]] = {}
        self._max_nodes = max_nodes

    def put(self, lease: Lease, now: float) -> set[str]:
        """Grant or renew a lease; return the services whose set of nodes changed.

        Raises :class:`TooManyRequests` if the table is full.
        """
        key = (lease.service, lease.instance)
        changed = self.expire(now)
        if key not in self._leases and len(self._leases) >= self._max_nodes:
            raise TooManyRequests(f"The registry holds {self._max_nodes} nodes, which is its bound.")
        for other, (held, _) in list(self._leases.items()):
            if other != key and held.url == lease.url:
                del self._leases[other]
                changed.add(held.service)
        known = self._leases.get(key)
        if known is None or known[0] != lease:
            changed.add(lease.service)
        self._leases[key] = (lease, now + lease.ttl)
        return changed

    def remove(self, service: str, instance: str) -> set[str]:
        """Release a lease; return the services whose set of nodes changed."""
        return {service} if self._leases.pop((service, instance), None) is not None else set()

    def expire(self, now: float) -> set[str]:
        """Remove the leases that have ended by ``now``; return the services whose set of nodes changed."""
        ended = [key for key, (_, until) in self._leases.items() if until <= now]
        for key in ended:
            del self._leases[key]
        return {service for service, _ in ended}

    def renew_all(self, now: float) -> None:
        """Renew every lease, also those that have ended."""
        self._leases = {key: (lease, now + lease.ttl) for key, (lease, _) in self._leases.items()}

    def nodes(self, service: str | None = None) -> list[Lease]:
        """Return the leases of one service or of all, ordered by service and instance."""
        return [self._leases[key][0] for key in sorted(self._leases) if service is None or key[0] == service]

    @property
    def next_end(self) -> float | None:
        """When the next lease ends (monotonic seconds); ``None`` without leases."""
        return min((until for _, until in self._leases.values()), default=None)


class Registry:
    """The lease table of this gateway; an async context manager that expires leases in time."""

    def __init__(self, clock: Clock, background: Background) -> None:
        self.discovery = StaticDiscovery()
        """The live endpoints, for this gateway's own clients."""

        self._table = LeaseTable()
        self._clock = clock
        self._changed = asyncio.Event()
        self._tasks = background.tasks()

    async def __aenter__(self) -> Self:
        self._tasks.endless("leases", every(None, self._expire, wake=self._changed, jitter=(1.0, 1.0)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    def put(self, lease: Lease) -> None:
        """Grant or renew a lease. Raises :class:`TooManyRequests` if the table is full."""
        self._publish(self._table.put(lease, self._now()), "lease_granted", lease.instance)

    def remove(self, service: str, instance: str) -> None:
        """Release a lease; an unknown one is no error."""
        self._publish(self._table.remove(service, instance), "lease_released", instance)

    def expire(self) -> None:
        """Remove the leases that have ended."""
        self._publish(self._table.expire(self._now()), "lease_expired", None)

    def _now(self) -> float:
        """Return the time; if this process did not run when leases ended, their renewals wait to be read."""
        now, end = self._clock.monotonic(), self._table.next_end
        if end is not None and now - end > LATE:
            self._table.renew_all(now)
        return now

    def nodes(self) -> list[Lease]:
        """Return the lease of every node, without ended ones."""
        self.expire()
        return self._table.nodes()

    async def _expire(self) -> float | None:
        """Remove ended leases; return the seconds until the next one ends, ``None`` without leases."""
        self.expire()
        end = self._table.next_end
        return None if end is None else max(0.0, end - self._clock.monotonic())

    def _publish(self, services: set[str], event: str, instance: str | None) -> None:
        for service in services:
            log.info(event, target=service, node=instance)
            self.discovery.replace(
                service,
                [
                    Endpoint(instance=lease.instance, url=lease.url, metrics_url=lease.metrics_url)
                    for lease in self._table.nodes(service)
                ],
            )
        if services:
            self._changed.set()
