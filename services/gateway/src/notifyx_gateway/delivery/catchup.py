"""Reads the log for consumers that are behind the head; consumers that need the same page share one read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from notifyx_common.background import Background
from notifyx_common.limiting.turns import Place, SharedTurns
from notifyx_common.principal import system_principal
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.sinks import Sink
from notifyx_gateway.delivery.topic_state import Progress, TopicState
from notifyx_gateway.upstream.store import Store

PAGE_SIZE = 200
"""Rows of one page."""

MAX_CONCURRENT_READS = 8
"""Concurrent reads of the log by this gateway, in turn between users; after an outage all consumers read at once."""

READ_TIMEOUT = 20.0
"""Timeout of one page in seconds, including retries while the store is unavailable."""


@dataclass(frozen=True, slots=True)
class _PageRead:
    """A read of a page, its place in the turns of :attr:`users`."""

    task: asyncio.Task[tuple[list[Row], int | None]]
    place: Place
    users: set[str]


class LogReader:
    """Reads the log for consumers. The store has checked their permission when they joined."""

    def __init__(self, store: Store, background: Background) -> None:
        self._store = store
        self._reads = background.tasks()
        self._principal = system_principal("gateway")
        self._turns = SharedTurns(MAX_CONCURRENT_READS)
        self._pages: dict[tuple[str, int, int, int], _PageRead] = {}

    async def page(
        self, topic: str, after: int, head: int, user: str, evictions: int = 0
    ) -> tuple[list[Row], int | None]:
        """Return the rows above ``after`` up to ``head``, and the cursor to continue from (``None``: no more of them).

        ``head`` is a committed seq. Equal requests at the same time share one read, at the first turn of their users.
        ``head`` belongs to the request, because a read that started before ``head`` was committed may miss it; so does
        ``evictions`` (:attr:`TopicState.evictions`).
        Raises :class:`NotifyxError`.
        """
        key = (topic, after, head, evictions)
        read = self._pages.get(key)
        if read is None:
            place = asyncio.get_running_loop().create_future()
            task = self._reads.shared("history page", self._read(topic, after, head, user, place))
            read = self._pages[key] = _PageRead(task, place, {user})
            task.add_done_callback(lambda _: self._pages.pop(key, None))
        elif user not in read.users:
            read.users.add(user)
            self._turns.share(read.place, user)
        return await asyncio.shield(read.task)

    async def range(self, topic: str, after: int, up_to: int) -> list[Row]:
        """Return every row in (after, up_to] that still exists. Raises :class:`NotifyxError`."""
        found: list[Row] = []
        cursor: int | None = after
        while cursor is not None and cursor < up_to:
            rows, cursor = await self.page(topic, cursor, up_to, self._principal.id)
            found += rows
        return [row for row in found if row[0] <= up_to]

    async def _read(self, topic: str, after: int, head: int, user: str, place: Place) -> tuple[list[Row], int | None]:
        async with self._turns.turn(user, place):
            page = await self._store.history(
                self._principal, topic, after=after, limit=PAGE_SIZE, deadline=READ_TIMEOUT
            )
        # What came after the head may have been published by newer settings, which the feed has not told yet.
        rows = [(seq, orjson.dumps(item)) for item in page.items if (seq := int(item["seq"])) <= head]
        return rows, page.next if len(rows) == len(page.items) else None


class CatchUp:
    """The way of one consumer to the head, noted in ``progress``."""

    __slots__ = ("_log_reader", "progress", "sink", "state")

    def __init__(self, state: TopicState, sink: Sink, progress: Progress, log_reader: LogReader) -> None:
        self.state = state
        self.sink = sink
        self.progress = progress
        self._log_reader = log_reader

    def advance(self, up_to: int, rows: Sequence[Row] = ()) -> None:
        """Move the cursor to ``up_to``, of which ``rows`` are sent next; tell the consumer what is missing of it."""
        missed = self.progress.shortfall.pass_over(self.progress.cursor, up_to, len(rows))
        self.progress.cursor = up_to
        if missed and not self.sink.closed:
            self.sink.missed(missed, last_before(rows, up_to))

    async def next_rows(self) -> tuple[Sequence[Row], int]:
        """Return rows above the cursor, and the seq up to which they are complete. Raises :class:`NotifyxError`."""
        # Everything up to the current head is committed: a read that starts now and finds no more is complete.
        head = self.state.head
        cursor = self.progress.cursor
        rows = self.state.ring.after(cursor) if cursor >= self.progress.log_up_to else None
        if rows is not None:
            return rows, head
        user = self.sink.principal.id
        evictions = self.state.evictions
        page, following = await self._log_reader.page(self.state.name, cursor, head, user, evictions)
        covered = following if following is not None else head
        if evictions == self.state.evictions:
            # After the loss of a gateway its clients come from the same cursors, but not all at once.
            self.state.ring.prepend(cursor, page, covered)
        return page, covered


def last_before(rows: Sequence[Row], up_to: int) -> int:
    """Return the seq before the first of ``rows``, which reach to ``up_to``; without any that."""
    return rows[0][0] - 1 if rows else up_to


def next_chunk(rows: Sequence[Row], start: int, size: int) -> Sequence[Row]:
    """Return the rows from index ``start`` whose JSON is at most ``size`` bytes in total, but at least one."""
    end, total = start, 0
    while end < len(rows):
        total += len(rows[end][1])
        if total > size and end > start:
            break
        end += 1
    return rows[start:end]
