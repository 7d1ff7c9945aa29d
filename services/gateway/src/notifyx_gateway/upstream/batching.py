"""Batches calls to the store: items of one tick, or queued while a request is in flight, share the next request.

A :class:`Lane` has **one** request in flight at a time, so items take effect in the order in which they were queued.
Its queue is bounded in items and bytes. An item that waited too long is rejected before it is sent, when it certainly
has had no effect. Each caller receives its own result or error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.errors import Internal, NotifyxError, TooManyRequests, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import PoolUsage
from notifyx_common.principal import Principal

log = get_logger(__name__)

R = TypeVar("R")

MIN_REMAINING = 1.0
"""Minimum time left, in seconds; an item with less is rejected rather than sent."""


class QueuedItem(Generic[R]):
    """One item of a lane: its JSON object, its principal, and the future that its caller awaits."""

    __slots__ = ("data", "future", "principal", "until")

    def __init__(self, data: bytes, principal: Principal | None, future: asyncio.Future[R], until: float) -> None:
        self.data = data
        self.principal = principal
        self.future = future
        self.until = until


SendBatch = Callable[[Sequence[QueuedItem[R]], float], Awaitable[Sequence[R | ItemError]]]
"""Sends a batch within a timeout in seconds; returns one result per item, in order. Raises :class:`NotifyxError`."""


class Lane(Generic[R]):
    """A bounded queue with one batched request in flight."""

    def __init__(
        self,
        name: str,
        send: SendBatch[R],
        *,
        clock: Clock,
        background: Background,
        deadline: float = 8.0,
        max_items: int = 1000,
        max_bytes: int = 512 << 10,
        max_queued: int = 20_000,
        max_queued_bytes: int = 32 << 20,
    ) -> None:
        self._name = name
        self._send = send
        self._clock = clock
        self._deadline = deadline
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._queue: deque[QueuedItem[R]] = deque()
        self._queued_bytes = 0
        self._tasks = background.tasks()
        self._working = False
        self._closed = False

    def submit(self, data: bytes, principal: Principal | None) -> asyncio.Future[R]:
        """Queue an item (a JSON object); the future receives its result or its :class:`NotifyxError`.

        Raises :class:`TooManyRequests` if the queue is full, :class:`Unavailable` after :meth:`close`.
        """
        if self._closed:
            raise Unavailable("This node is stopping.")
        if len(self._queue) >= self._max_queued or self._queued_bytes + len(data) > self._max_queued_bytes:
            raise TooManyRequests("The gateway has more of these requests waiting than it takes; try again soon.")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append(QueuedItem(data, principal, future, self._clock.monotonic() + self._deadline))
        self._queued_bytes += len(data)
        if not self._working:
            # The task starts after the callbacks of this tick, so that their items share its first request.
            self._working = True
            self._tasks.spawn("lane", self._run())
        return future

    def usage(self) -> PoolUsage:
        """Return the number of queued items, and its limit."""
        return PoolUsage(len(self._queue), self._max_queued)

    async def close(self) -> None:
        """Reject new items, and wait for the queued ones (each has a deadline)."""
        self._closed = True
        await self._tasks.settled()

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._send_batch(self._next_batch())
        finally:
            self._working = False

    def _next_batch(self) -> list[QueuedItem[R]]:
        batch: list[QueuedItem[R]] = []
        size = 0
        now = self._clock.monotonic()
        while self._queue and len(batch) < self._max_items:
            item = self._queue[0]
            if batch and size + len(item.data) > self._max_bytes:
                break
            self._queue.popleft()
            self._queued_bytes -= len(item.data)
            if item.future.done():  # its caller has gone
                continue
            if item.until - now < MIN_REMAINING:
                item.future.set_exception(Unavailable("The store did not take this request in time."))
                continue
            batch.append(item)
            size += len(item.data)
        return batch

    async def _send_batch(self, batch: list[QueuedItem[R]]) -> None:
        if not batch:
            return
        remaining = min(item.until for item in batch) - self._clock.monotonic()
        try:
            results = await self._send(batch, max(remaining, MIN_REMAINING))
            if len(results) != len(batch):
                raise Internal("The store answered a batch with another number of results.")
        except NotifyxError as error:
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, Unavailable("This node is stopping."))
            raise
        except Exception as error:
            log.error("batch_failed", lane=self._name, exc_info=error)
            _fail(batch, Internal("Something went wrong on our side; it has been logged."))
        else:
            for item, result in zip(batch, results, strict=True):
                _resolve(item, result)


def _resolve(item: QueuedItem[R], result: R | ItemError) -> None:
    if item.future.done():
        return
    if isinstance(result, ItemError):
        item.future.set_exception(result.error())
    else:
        item.future.set_result(result)


def _fail(batch: Sequence[QueuedItem[R]], error: NotifyxError) -> None:
    for item in batch:
        if not item.future.done():
            item.future.set_exception(error.with_reason(error.reason))


def encode_batch(queued: Sequence[QueuedItem[R]], head: bytes = b"") -> bytes:
    """Return the request body: each principal once, and each item with the index of its principal as ``p``.

    ``head`` goes first: JSON members with their trailing comma.
    """
    positions: dict[int, int] = {}
    principals: list[bytes] = []
    items: list[bytes] = []
    for item in queued:
        if item.principal is None:
            items.append(item.data)
            continue
        position = positions.get(id(item.principal))
        if position is None:
            position = positions[id(item.principal)] = len(principals)
            principals.append(item.principal.model_dump_json().encode())
        items.append(b'{"p":%d,' % position + item.data[1:])
    who = b'"principals":[' + b",".join(principals) + b"]," if principals else b""
    return b"{" + head + who + b'"items":[' + b",".join(items) + b"]}"
