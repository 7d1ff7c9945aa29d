"""The connections of a process's HTTP ports: how many there may be, and which are closed when there are too many.

A connection *waits* while its client owes it something: a request, or the rest of one. A well-behaved client lets a
connection wait for milliseconds, or keeps it idle between two requests. So when the process has as many connections
as it may have, a new one replaces the one that has waited longest; a request that is being answered is never cut for
that. The bytes of incomplete bodies are bounded in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from notifyx_common.metrics import Metrics, PoolUsage
from notifyx_common.serving.http_limits import HttpLimits


class Closable(Protocol):
    """A connection, as :class:`Connections` sees it."""

    @property
    def peer(self) -> str:
        """The peer's address."""
        ...

    @property
    def address(self) -> str:
        """The peer's address by which its connections are counted: of IPv6, its /64."""
        ...

    def cut(self, reason: str) -> None:
        """Close the connection at once; what has not been written is lost."""
        ...


class Connections:
    """The open connections that share one bound. All methods but the constructor are constant in time."""

    def __init__(
        self,
        name: str,
        limits: HttpLimits,
        metrics: Metrics,
        *,
        limit_of: Callable[[str], int | None] = lambda address: None,
    ) -> None:
        """``limit_of`` returns how many connections a peer may have; ``None`` if it has no limit of its own."""
        self._limits = limits
        self._limit_of = limit_of
        self._open: set[Closable] = set()
        self._by_address: Counter[str] = Counter()
        # Both in the order in which they began to wait.
        self._waiting: dict[Closable, None] = {}
        self._bodies: dict[Closable, int] = {}
        self._body_bytes = 0
        self._closed = metrics.counter("notifyx_http_connections_closed_total")
        metrics.observe_pool(name, lambda: PoolUsage(len(self._open), limits.max_connections))

    def admit(self, connection: Closable) -> bool:
        """Add a new connection, which waits; return whether it may stay."""
        limit = self._limit_of(connection.peer)
        if limit is not None and self._by_address[connection.address] >= limit:
            self.closed("address_limit")
            return False
        if len(self._open) >= self._limits.max_connections:
            if not self._waiting:
                self.closed("node_limit")
                return False
            self._cut(next(iter(self._waiting)), "crowded_out")
        self._open.add(connection)
        self._by_address[connection.address] += 1
        self._waiting[connection] = None
        return True

    def remove(self, connection: Closable) -> None:
        """Remove a connection; it may have been removed before."""
        if connection not in self._open:
            return
        self.busy(connection)
        self._open.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]

    def idle(self, connection: Closable) -> None:
        """Record that a connection waits for a request."""
        self.busy(connection)
        if connection in self._open:
            self._waiting[connection] = None

    def busy(self, connection: Closable) -> None:
        """Record that a connection has a complete request, or a head whose body begins."""
        self._waiting.pop(connection, None)
        self._body_bytes -= self._bodies.pop(connection, 0)

    def body_grew(self, connection: Closable, received: int) -> None:
        """Record that ``received`` bytes of an incomplete body are there."""
        if connection not in self._open:
            return
        self._waiting.setdefault(connection, None)
        self._body_bytes += received - self._bodies.get(connection, 0)
        self._bodies[connection] = received
        while self._body_bytes > self._limits.max_body_bytes:
            self._cut(next(iter(self._bodies)), "bodies_limit")

    def closed(self, reason: str) -> None:
        """Count a connection that the server closed against its client's will."""
        self._closed.labels(reason).inc()

    def _cut(self, connection: Closable, reason: str) -> None:
        self.remove(connection)
        connection.cut(reason)
