"""Reads the log for consumers that are behind the head; consumers that need the same page share one read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from notifyx_common.background import Background
from notifyx_common.principal import system_principal
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.sinks import Sink
from notifyx_gateway.delivery.topic_state import TopicState
from notifyx_gateway.upstream.store import Store

PAGE_SIZE = 200
"""Rows of one page."""

MAX_CONCURRENT_READS = 8
"""Concurrent reads of the log by this gateway; after an outage all consumers read at once."""

READ_TIMEOUT = 20.0
"""Timeout of one page in seconds, including retries while the store is unavailable."""


class LogReader:
    """Reads the log for consumers. The store has checked their permission when they joined."""

    def __init__(self, store: Store, background: Background) -> None:
        self._store = store
        self._reads = background.tasks()
        self._principal = system_principal("gateway")
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_READS)
        self._pages: dict[tuple[str, int, int], asyncio.Task[tuple[list[Row], int | None]]] = {}

    async def page(self, topic: str, after: int, head: int) -> tuple[list[Row], int | None]:
        """Return the rows above ``after``, and the cursor to continue from (``None``: no more up to ``head``).

        ``head`` is a committed seq. Equal requests at the same time share one read. ``head`` belongs to the request,
        because a read that started before ``head`` was committed may miss it.
        Raises :class:`NotifyxError`.
        """
        key = (topic, after, head)
        task = self._pages.get(key)
        if task is None:
            task = self._pages[key] = self._reads.shared("history page", self._read(topic, after))
            task.add_done_callback(lambda _: self._pages.pop(key, None))
        return await asyncio.shield(task)

    async def range(self, topic: str, after: int, up_to: int) -> list[Row]:
        """Return every row in (after, up_to] that still exists. Raises :class:`NotifyxError`."""
        found: list[Row] = []
        cursor: int | None = after
        while cursor is not None and cursor < up_to:
            rows, cursor = await self.page(topic, cursor, up_to)
            found += rows
        return [row for row in found if row[0] <= up_to]

    async def _read(self, topic: str, after: int) -> tuple[list[Row], int | None]:
        async with self._slots:
            page = await self._store.history(
                self._principal, topic, after=after, limit=PAGE_SIZE, deadline=READ_TIMEOUT
            )
        rows = [(int(item["seq"]), orjson.dumps(item)) for item in page.items]
        return rows, page.next


class CatchUp:
    """The progress of one consumer towards the head: ``cursor`` is the last seq that it has.

    Rows up to ``log_up_to`` come from the log, even if the ring has them.
    """

    __slots__ = ("_log_reader", "_log_up_to", "cursor", "sink", "state")

    def __init__(self, state: TopicState, sink: Sink, cursor: int, log_reader: LogReader, log_up_to: int = 0) -> None:
        self.state = state
        self.sink = sink
        self.cursor = cursor
        self._log_reader = log_reader
        self._log_up_to = log_up_to

    async def next_rows(self) -> tuple[Sequence[Row], int]:
        """Return rows above the cursor, and the seq up to which they are complete. Raises :class:`NotifyxError`."""
        # Everything up to the current head is committed: a read that starts now and finds no more is complete.
        head = self.state.head
        rows = self.state.ring.after(self.cursor) if self.cursor >= self._log_up_to else None
        if rows is not None:
            return rows, head
        page, following = await self._log_reader.page(self.state.name, self.cursor, head)
        return page, following if following is not None else head


def next_chunk(rows: Sequence[Row], start: int, size: int) -> Sequence[Row]:
    """Return the rows from index ``start`` whose JSON is at most ``size`` bytes in total, but at least one."""
    end, total = start, 0
    while end < len(rows):
        total += len(rows[end][1])
        if total > size and end > start:
            break
        end += 1
    return rows[start:end]
