"""Following a topic as an iterator of rows: what ``text/event-stream`` is made of."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from notifyx_common.contracts.store import JoinResult
from notifyx_common.errors import NotFound, NotifyxError, Unavailable
from notifyx_common.principal import Principal
from notifyx_gateway.cursors import Row

if TYPE_CHECKING:
    from notifyx_gateway.hub import Hub

MAX_BYTES = 1 << 20
"""Rows that may wait for the consumer, in bytes of JSON."""


class TooSlow(Unavailable):
    """The consumer does not take what it follows fast enough; it can resume after the last seq it has seen."""

    code = "too_slow"


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Rows as they are."""

    transport: str = "stream"

    def encode(self, rows: Sequence[Row]) -> tuple[Sequence[Row], int]:
        """The rows, and the bytes of their JSON."""
        return rows, sum(len(raw) for _, raw in rows)


class Follower:
    """A hub sink with a bounded queue. Iterating gives rows, and raises what ended the following."""

    format = RawFormat()

    def __init__(self, hub: Hub, principal: Principal, topic: str, max_bytes: int) -> None:
        self.principal = principal
        self.store_topic = topic
        self.closed = False
        self._hub = hub
        self._max_bytes = max_bytes
        self._rows: deque[Row] = deque()
        self._bytes = 0
        self._error: NotifyxError | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Row]:
        return self

    async def __anext__(self) -> Row:
        while not self._rows:
            if self._error is not None:
                raise self._error
            if self.closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        row = self._rows.popleft()
        self._bytes -= len(row[1])
        if self._bytes <= self._max_bytes // 4:
            self._taken.set()
        return row

    def send(self, payload: Any, size: int) -> None:
        if self.closed:
            return
        self._rows.extend(payload)
        self._bytes += size
        self._taken.clear()
        self._changed.set()
        if self._bytes > self._max_bytes:
            self._rows.clear()
            self.end(TooSlow("The stream is read too slowly; resume after the last event."))

    def room(self) -> int:
        return self._max_bytes - self._bytes

    async def drained(self) -> None:
        while not self.closed and self._bytes > self._max_bytes // 4:
            self._taken.clear()
            await self._taken.wait()

    def acked(self, event: dict[str, Any]) -> None:
        """A stream carries notifications only."""

    def deleted(self) -> None:
        self.end(NotFound("The topic was deleted."))

    def lost(self, error: NotifyxError) -> None:
        self.end(error)

    def end(self, error: NotifyxError | None = None) -> None:
        """Stop; what is queued can still be taken, then ``error`` is raised."""
        if self.closed:
            return
        self.closed = True
        self._error = error
        self._hub.detach(self)
        self._changed.set()
        self._taken.set()


@asynccontextmanager
async def follow(
    hub: Hub, principal: Principal, topic: str, since: int | None = None, *, max_bytes: int = MAX_BYTES
) -> AsyncIterator[tuple[JoinResult, Follower]]:
    """Join ``topic`` and follow it: the store's answer, and an iterator of ``(seq, JSON)`` after ``since``.

    The iterator raises :class:`TooSlow` when more than ``max_bytes`` wait, :class:`NotFound` when the topic is
    deleted, :class:`Forbidden` when the permission is taken away. Raises what the join is refused with.
    """
    result = await hub.store.join(principal, topic, since)
    follower = Follower(hub, principal, topic, max_bytes)
    hub.attach(follower, result, since)
    try:
        yield result, follower
    finally:
        follower.end()
