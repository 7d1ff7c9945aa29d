"""Bringing a consumer that is behind up to the head: pages of history, shared by those who need the same ones."""

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
"""Rows asked for at once."""

MAX_CONCURRENT_READS = 8
"""Concurrent reads of the log by this gateway; after an outage all consumers read at once."""

READ_TIMEOUT = 20.0
"""Seconds one page may take, retries and waiting for the store to come back included."""


class LogReader:
    """Reads of the log on behalf of consumers whose permission the store has checked at their join."""

    def __init__(self, store: Store, background: Background) -> None:
        self._store = store
        self._reads = background.tasks()
        self._principal = system_principal("gateway")
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_READS)
        self._pages: dict[tuple[str, int, int], asyncio.Task[tuple[list[Row], int | None]]] = {}

    async def page(self, topic: str, after: int, head: int) -> tuple[list[Row], int | None]:
        """A page of rows above ``after``, and the cursor to go on from (``None``: there is no more up to ``head``).

        ``head`` is a seq that is known to be committed. One read serves all who ask the same at the same time;
        ``head`` is part of what is asked, because a read that started before it was committed may not show it.
        Raises :class:`NotifyxError`.
        """
        key = (topic, after, head)
        task = self._pages.get(key)
        if task is None:
            task = self._pages[key] = self._reads.shared("history page", self._read(topic, after))
            task.add_done_callback(lambda _: self._pages.pop(key, None))
        return await asyncio.shield(task)

    async def range(self, topic: str, after: int, up_to: int) -> list[Row]:
        """Every row in (after, up_to] that still exists. Raises :class:`NotifyxError`."""
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
    """One consumer's way to the head: ``cursor`` is the last seq it has."""

    __slots__ = ("_log_reader", "cursor", "sink", "state")

    def __init__(self, state: TopicState, sink: Sink, cursor: int, log_reader: LogReader) -> None:
        self.state = state
        self.sink = sink
        self.cursor = cursor
        self._log_reader = log_reader

    async def next_rows(self) -> tuple[Sequence[Row], int]:
        """Rows above the cursor, and the seq up to which they are all there is. Raises :class:`NotifyxError`."""
        # Everything up to the head of now is committed: a read that starts later and finds no more has it all.
        head = self.state.head
        rows = self.state.ring.after(self.cursor)
        if rows is not None:
            return rows, head
        page, following = await self._log_reader.page(self.state.name, self.cursor, head)
        return page, following if following is not None else head


def next_chunk(rows: Sequence[Row], start: int, size: int) -> Sequence[Row]:
    """The rows from position ``start`` on whose JSON is at most ``size`` bytes together, but at least one."""
    end, total = start, 0
    while end < len(rows):
        total += len(rows[end][1])
        if total > size and end > start:
            break
        end += 1
    return rows[start:end]
