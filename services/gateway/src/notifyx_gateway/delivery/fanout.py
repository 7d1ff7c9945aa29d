"""Writes the rows of each tick of the event loop to every sink of their topic, and brings sinks up to the head.

A sink is in one of four states in its :class:`~notifyx_gateway.delivery.topic_state.TopicState`:

- **live**: it has everything up to ``head``; each tick's rows are encoded once per format and written to all.
- **ahead**: its join returned a later position than the feed has reached; it gets only the rows above its cursor.
- **behind**: a task reads what it misses, from the ring or the log, as fast as the sink accepts it. Once it has
  reached ``head`` it becomes live, without an ``await`` between the check and the change.
- **held**: it gets nothing until it is known whether it may still read; what it misses meanwhile it catches up on.

While the bound of what waits for all clients is full (:mod:`~notifyx_gateway.delivery.pending`), a sink with more than
:data:`SMALL` waiting gets nothing, and nothing is read for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_gateway.delivery.catchup import CatchUp, LogReader, last_before, next_chunk
from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.pending import PendingOutput
from notifyx_gateway.delivery.sinks import Sink
from notifyx_gateway.delivery.topic_state import Progress, TopicState

log = get_logger(__name__)

BURST = 256 << 10
"""Bytes; more than this in one tick is written at the pace that each sink accepts."""

FOR_ANSWERS = 64 << 10
"""Bytes of what may wait for a client that rows from memory leave free: an answer cannot wait, and a client that is
closed for it asks for the same rows again."""

SMALL = 64 << 10
"""Bytes that may wait for one sink while the bound of all clients is full."""


class Fanout:
    """Writes rows to sinks. ``on_rows`` is called for each topic with new rows, ``on_lost`` for sinks that failed."""

    def __init__(
        self,
        *,
        log_reader: LogReader,
        pending: PendingOutput,
        metrics: Metrics,
        clock: Clock,
        background: Background,
        on_rows: Callable[[str], None],
        on_lost: Callable[[Sink, NotifyxError], None],
    ) -> None:
        self._log_reader = log_reader
        self._pending = pending
        self._clock = clock
        self._on_rows = on_rows
        self._on_lost = on_lost
        self._tasks = background.tasks()
        self._flushes: dict[TopicState, int] = {}
        self._deliveries = metrics.counter("notifyx_deliveries_total")
        self._seconds = metrics.histogram("notifyx_delivery_seconds")

    def add(self, state: TopicState, rows: list[Row], head: int, published_ms: int) -> None:
        """Queue ``rows``, which bring ``state`` up to ``head``; they are written at the end of this tick."""
        state.fresh += rows
        state.fresh_head = head
        if not self._flushes:
            # Rows that arrive later in this tick join them, so that each sink is written to once.
            asyncio.get_running_loop().call_soon(self._flush)
        self._flushes[state] = min(self._flushes.get(state, published_ms), published_ms)

    def attach(self, state: TopicState, sink: Sink, progress: Progress) -> None:
        """Attach a sink in the state that follows from its progress."""
        if sink.closed:
            return
        cursor = progress.cursor
        if cursor > state.head:
            state.ahead[sink] = progress
        elif cursor == state.head or (cursor >= progress.log_up_to and self._replay_ring(state, sink, progress)):
            if not sink.closed:
                state.go_live(sink)
        else:
            catch_up = CatchUp(state, sink, progress, self._log_reader)
            state.behind[sink] = progress, self._tasks.spawn("catch up", self._catch_up(catch_up))

    def release(self, state: TopicState, sink: Sink) -> None:
        """Deliver to a sink again, if it is held."""
        if (progress := state.held.pop(sink, None)) is not None:
            self.attach(state, sink, progress)

    async def close(self) -> None:
        """Cancel the catch-up of all sinks."""
        await self._tasks.close()

    def _flush(self) -> None:
        flushes, self._flushes = self._flushes, {}
        now_ms = self._clock.now().timestamp() * 1000
        for state, published_ms in flushes.items():
            if state.gone:
                continue
            rows, state.fresh = state.fresh, []
            before, state.head = state.head, state.fresh_head
            state.ring.extend(rows)
            state.memo = None
            if state.live:
                self._broadcast(state, rows, before)
                if rows:
                    self._seconds.observe(max(0.0, now_ms - published_ms) / 1000)
            if rows:
                self._on_rows(state.name)
            if state.ahead:
                self._serve_ahead(state)

    def _broadcast(self, state: TopicState, rows: list[Row], before: int) -> None:
        """Write ``rows`` to the live sinks, which have all up to ``before``; none where all up to the head is gone."""
        missed = state.head - before - len(rows)
        for kind, group in tuple(state.live.items()):
            payload, size = kind.encode(rows) if rows else (b"", 0)
            sends = tuple(group.values())
            if missed or size > BURST or self._pending.full:
                ready = {sink: send for sink, send in group.items() if self._has_room(sink, size)}
                for sink in [sink for sink in group if sink not in ready]:
                    state.remove(sink)
                    self.attach(state, sink, Progress(before))
                if missed:
                    for sink in ready:
                        if state.is_live(sink):
                            sink.missed(missed, last_before(rows, state.head))
                sends = tuple(send for sink, send in ready.items() if state.is_live(sink))
            if not rows:
                continue
            for send in sends:
                send(payload, size)
            self._deliveries.labels(kind.transport).inc(len(rows) * len(sends))

    def _has_room(self, sink: Sink, size: int) -> bool:
        """Return whether a live sink accepts a payload that other sinks get, too."""
        if self._pending.full and (waiting := sink.waiting_bytes()):
            return waiting + size <= SMALL
        return sink.writable_bytes() >= size

    def _room(self, sink: Sink) -> int:
        """Return how many bytes may be queued for one sink alone."""
        return SMALL - sink.waiting_bytes() if self._pending.full else sink.writable_bytes()

    def _is_drained(self, sink: Sink) -> bool:
        """Return whether there is room for more of what the sink misses."""
        if self._pending.full:
            return self._room(sink) >= SMALL // 2
        return sink.writable_bytes() >= BURST or sink.waiting_bytes() <= SMALL

    async def _wait_for_room(self, sink: Sink) -> None:
        while not sink.closed and not self._is_drained(sink):
            await asyncio.sleep(0)  # the event loop may write what was queued in this iteration at the end of it
            if self._is_drained(sink):
                return
            if self._pending.full:
                await self._pending.measured()
            else:
                await sink.wait_drained()

    def _serve_ahead(self, state: TopicState) -> None:
        for sink, progress in tuple(state.ahead.items()):
            if progress.cursor <= state.head:
                del state.ahead[sink]
                self.attach(state, sink, progress)

    def _replay_ring(self, state: TopicState, sink: Sink, progress: Progress) -> bool:
        """Bring the sink to the head from the ring, if the ring has all rows and the sink can accept them."""
        room = self._room(sink)
        if room <= 0:
            return False
        memo, cursor = state.memo, progress.cursor
        if memo is None or memo[:3] != (sink.format, cursor, state.head):
            rows = state.ring.after(cursor)
            if rows is None:
                return False
            # After an outage many sinks return with the same cursor.
            memo = state.memo = (sink.format, cursor, state.head, *sink.format.encode(rows), len(rows))
        payload, size, count = memo[3:]
        if size > min(room - FOR_ANSWERS, BURST):
            return False
        missed = progress.shortfall.pass_over(cursor, state.head, count)
        if missed:
            sink.missed(missed, last_before(state.ring.after(cursor) or (), state.head))
        if count and not sink.closed:
            sink.send(payload, size)
            self._deliveries.labels(sink.format.transport).inc(count)
        return True

    async def _catch_up(self, work: CatchUp) -> None:
        state, sink, progress = work.state, work.sink, work.progress
        try:
            while not sink.closed:
                if progress.cursor >= state.head:
                    state.behind.pop(sink, None)
                    self.attach(state, sink, progress)
                    return
                # A sink that waits holds no rows: they are read when there is room for them.
                await self._wait_for_room(sink)
                rows, covered = await work.next_rows()
                if await self._write(work, rows) and covered > progress.cursor:
                    work.advance(covered)
        except NotifyxError as error:
            log.warning("catch_up_failed", topic=state.name, code=error.code)
            self._on_lost(sink, error)
        finally:
            if (behind := state.behind.get(sink)) is not None and behind[1] is asyncio.current_task():
                del state.behind[sink]

    async def _write(self, work: CatchUp, rows: Sequence[Row]) -> bool:
        """Write those of ``rows`` for which there is room; return whether these were all."""
        sink, done = work.sink, 0
        while done < len(rows):
            if not self._is_drained(sink):
                await asyncio.sleep(0)
            if sink.closed or not self._is_drained(sink):
                return False
            # Half of it: the framing around each row takes space, too.
            part = next_chunk(rows, done, min(BURST, self._room(sink) // 2))
            payload, size = sink.format.encode(part)
            work.advance(part[-1][0], part)
            if sink.closed:
                return False
            sink.send(payload, size)
            self._deliveries.labels(sink.format.transport).inc(len(part))
            done += len(part)
        return True
