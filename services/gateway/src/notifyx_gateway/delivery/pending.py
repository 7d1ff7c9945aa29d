"""The bytes that wait to be written to all clients of this node together, and their bound.

A client that reads leaves nothing waiting for long, so only clients that do not read fill the bound. While it is full,
a client with bytes waiting receives nothing more, and catches up from the log once it has read them (``fanout``).
Clients whose bytes have waited for :data:`PATIENCE` are closed, and resume later: first those of the account for which
most bytes wait, and of them the one with most. Far above the bound there is little patience.

A client for which nothing waits costs nothing here. The others are measured when the bound seems to be reached:
nobody reports that the kernel has taken what waited.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, defaultdict
from time import perf_counter
from typing import Protocol

from notifyx_common.clock import Clock
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics, PoolUsage

log = get_logger(__name__)

DEFAULT_LIMIT = 128 << 20

PATIENCE = 5.0
"""Seconds that a client has to read what waits for it, while the bound is full."""

LOW_SHARE = 0.9
"""The bound is full until less than this part of it is used; then there is room for what clients read."""

HARD = 2
"""At this multiple of the bound, clients are closed with little patience, and what waits for them is dropped."""

HARD_PATIENCE = 0.5

INTERVAL = 0.05
"""Seconds between two measurements while the bound is full."""

MEASURED_SHARE = 20
"""Measurements take at most one part in this many of a process's time."""

CLOSED_AT_ONCE = 100
"""Maximum number of clients that one measurement closes."""


class Output(Protocol):
    """A connection with bytes that wait to be written."""

    @property
    def transport(self) -> str:
        """Name of the transport in metrics."""
        ...

    @property
    def owner(self) -> str:
        """Id of the client's account."""
        ...

    @property
    def accepted(self) -> int:
        """Bytes that were ever queued."""
        ...

    def waiting_bytes(self) -> int:
        """Return how many of them wait to be written."""
        ...

    def give_way(self, *, at_once: bool) -> None:
        """Close the connection, so that its client resumes later; ``at_once``: drop what waits."""
        ...


class _Held:
    """What waits for one client: ``bytes`` as last measured. ``mark`` bytes had been accepted at ``since``, and some of
    these still wait."""

    __slots__ = ("bytes", "ending", "mark", "since")

    def __init__(self, mark: int, since: float) -> None:
        self.bytes = 0
        self.mark = mark
        self.since = since
        self.ending = False


class PendingOutput:
    """The bytes that wait for all clients of a node, of which there may be ``limit``."""

    def __init__(self, limit: int, *, metrics: Metrics, clock: Clock, patience: float = PATIENCE) -> None:
        self._limit = limit
        self._patience = patience
        self._clock = clock
        self._total = 0
        self._full = False
        self._held: dict[Output, _Held] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next_measurement: asyncio.Future[None] | None = None
        self._closed = metrics.counter("notifyx_pending_output_closed_total")
        metrics.observe_pool("pending_output", self._usage)

    @property
    def full(self) -> bool:
        """Whether the bound is reached: as measured, or by what was queued since."""
        return self._full or self._total > self._limit

    def note(self, output: Output, waiting: int) -> None:
        """Note that ``waiting`` bytes wait for a client, as far as its connection has measured it."""
        held = self._held.get(output)
        if held is None:
            if not waiting:
                return
            held = self._held[output] = _Held(output.accepted, self._clock.monotonic())
        self._total += waiting - held.bytes
        held.bytes = waiting
        if not waiting:
            del self._held[output]
        elif self._total > self._limit and self._timer is None:
            # The event loop may write what was queued in this iteration at the end of it.
            self._schedule(0)

    def remove(self, output: Output) -> None:
        """Remove a connection that is gone."""
        held = self._held.pop(output, None)
        if held is not None:
            self._total -= held.bytes

    async def measured(self) -> None:
        """Wait for the next measurement."""
        if self._next_measurement is None:
            self._next_measurement = asyncio.get_running_loop().create_future()
        if self._timer is None:
            self._schedule(INTERVAL)
        await asyncio.shield(self._next_measurement)

    def close(self) -> None:
        """Measure nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check(self) -> None:
        """Measure all clients, and close some if the bound is full."""
        now, total = self._clock.monotonic(), 0
        for output, held in tuple(self._held.items()):
            held.bytes = waiting = output.waiting_bytes()
            if not waiting:
                del self._held[output]
                continue
            total += waiting
            if output.accepted - waiting >= held.mark:
                held.mark, held.since = output.accepted, now
        self._total = total
        was_full, self._full = self._full, total > self._limit * (LOW_SHARE if self._full else 1)
        if self._full:
            self._make_room(now)
        if self._full is not was_full:
            log.info("pending_output_full" if self._full else "pending_output_not_full", bytes=total, limit=self._limit)

    def _measure(self) -> None:
        started = perf_counter()
        self.check()
        self._timer = None
        waiting, self._next_measurement = self._next_measurement, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        # Also once after the bound is not full any more: clients at the bound are measured no more often than this.
        if self._full or self._total > self._limit * LOW_SHARE:
            self._schedule(max(INTERVAL, MEASURED_SHARE * (perf_counter() - started)))

    def _schedule(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._measure)

    def _make_room(self, now: float) -> None:
        """Close clients until those that stay hold less than the bound."""
        drop = self._total > self._limit * HARD
        patience = min(self._patience, HARD_PATIENCE) if drop else self._patience
        excess = self._total - self._limit * LOW_SHARE
        by_owner: Counter[str] = Counter()
        late: defaultdict[str, list[tuple[int, float, Output]]] = defaultdict(list)
        for output, held in tuple(self._held.items()):
            if held.ending:
                excess -= held.bytes
                if drop:
                    output.give_way(at_once=True)
                continue
            by_owner[output.owner] += held.bytes
            if now - held.since >= patience:
                late[output.owner].append((held.bytes, -held.since, output))
        for outputs in late.values():
            outputs.sort(key=lambda found: found[:2])
        heap = [(-by_owner[owner], owner) for owner in late]
        heapq.heapify(heap)
        for _ in range(CLOSED_AT_ONCE):
            if excess <= 0 or not heap:
                break
            held_bytes, owner = heapq.heappop(heap)
            size, _since, output = late[owner].pop()
            excess -= size
            if late[owner]:
                heapq.heappush(heap, (held_bytes + size, owner))
            self._held[output].ending = True
            self._closed.labels(output.transport).inc()
            output.give_way(at_once=drop)

    def _usage(self) -> PoolUsage:
        return PoolUsage(sum(output.waiting_bytes() for output in tuple(self._held)), self._limit)
