"""Protections that can be taken out, to show that histories find what they are for: each a patch of production code.

``seed`` is of a history that failed without the protection when it was written. With other code, the delays of the
network fall differently, and it is one of those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from notifyx.resume import ResumeCursor
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.hedging import Budget
from notifyx_common.contracts.store.log import PUBLISH
from notifyx_common.recent import Recent
from notifyx_gateway.delivery import feed_client
from notifyx_gateway.delivery.cursors import Rows
from notifyx_gateway.delivery.fanout import Fanout
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.delivery.known_position import KnownPosition
from notifyx_gateway.delivery.ring import Ring
from notifyx_gateway.delivery.topic_state import Progress
from notifyx_gateway.socket.connection import WebSocketConnection
from notifyx_gateway.socket.longpoll_posts import Post, Posts
from notifyx_gateway.socket.longpoll_session import LongPollSession
from notifyx_gateway.upstream.fair_queue import FairQueue
from notifyx_gateway.upstream.outbox import Outbox
from notifyx_store.base.bus_core import BusCore
from notifyx_store.feed.core import FeedCore
from notifyx_store.feed.server import FeedServer
from simulation.plan import Plan, draw
from simulation.rules import check
from simulation.scenes import (
    late_position,
    lost_announcement,
    lost_answers,
    lost_messages,
    old_position,
    slow_reader,
    two_devices,
)
from simulation.world import run
from support.mutations import hold_nobody


@dataclass(frozen=True, slots=True)
class Mutation:
    """A protection, and what is left without it: (owner, attribute, replacement)."""

    name: str
    meaning: str
    seed: int
    patches: Sequence[tuple[Any, str, Any]]
    scene: Callable[[int], Plan] = draw
    """The plan of a seed."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Take the protection out."""
        with ExitStack() as stack:
            for owner, attribute, replacement in self.patches:
                stack.enter_context(patch.object(owner, attribute, replacement))
            yield

    def find(self, most: int) -> int | None:
        """Return the first seed from :attr:`seed` on that fails without the protection, among ``most``."""
        with self.applied():
            seeds = range(self.seed, self.seed + most)
            return next((seed for seed in seeds if check(run(self.scene(seed)))), None)


def _classify_without_gap(head: int, rows: Rows) -> str:
    return "old" if rows.last <= head else "next"


def _forward_without_cursor(self: Any, topic: Any, watched: Any, first: int, *rest: Any) -> None:
    for connection in list(watched.cursors):
        watched.cursors[connection] = first - 1
    _FORWARD(self, topic, watched, first, *rest)


_FORWARD: Any = FeedCore.__dict__["_forward"]


def _attach_at_head(attach: Any) -> Any:
    def attach_live(self: Any, state: Any, sink: Any, progress: Progress) -> None:
        attach(self, state, sink, Progress(max(progress.cursor, state.head)))

    return attach_live


def _attach_without_ahead(attach: Any) -> Any:
    def attach_live(self: Any, state: Any, sink: Any, progress: Progress) -> None:
        attach(self, state, sink, replace(progress, cursor=min(progress.cursor, state.head)))

    return attach_live


async def _confirm_all(self: Any, ids: Sequence[str], *, deadline: float) -> set[str]:
    return set(ids)


def _report_as_read(self: Any, sinks: Any, topic: str, position: Any) -> None:
    for sink in sinks:
        sink.acked(position)


def _report_older_too(report: Any) -> Any:
    def report_any(self: KnownPosition, position: Any, head: int, now: float) -> Any:
        self._until = now
        return report(self, position, head, now)

    return report_any


async def _poll_hinted_heads(self: Any) -> None:
    topics, self._unchecked = self._unchecked, set()
    await self._read_heads(topics)


def _after_whatever_floor(self: Ring, cursor: int) -> Any:
    return [row for row in self._rows if row[0] > cursor]


def _fresh_batch_each_time(send_once: Any) -> Any:
    async def send(self: ServiceClient, endpoint: Any, pending: Any, timeout: float, **how: bool) -> bytes:
        body = pending.message.body
        if pending.message.path == PUBLISH.path and body is not None:
            self.attempts = getattr(self, "attempts", 0) + 1  # type: ignore[attr-defined]
            at = body.index(b'"batch_id":"') + 12
            object.__setattr__(pending.message, "body", b"%b%08x%b" % (body[:at], self.attempts, body[at + 8 :]))  # type: ignore[attr-defined]
        found: bytes = await send_once(self, endpoint, pending, timeout, **how)
        return found

    return send


def _take_for_newest(poll: Callable[..., Any]) -> Callable[..., Any]:
    async def poll_whatever_was_lost(self: Any, seen: int, *arguments: Any) -> Any:
        return await poll(self, self._answers.last.number, *arguments)

    return poll_whatever_was_lost


async def _wait_below_low_water(self: WebSocketConnection) -> None:
    from notifyx_gateway.socket import connection  # noqa: PLC0415 - its sizes are set for each history

    while not self.closed and self._pending() > connection.LOW_WATER:
        if self._waiting is None:
            self._waiting = self._loop.create_future()
        await self._waiting


def _receive_without_numbers(receive: Any) -> Any:
    def receive_any(self: BusCore, data: bytes, now: float) -> Any:
        return replace(receive(self, data, now), missed="")

    return receive_any


MUTATIONS: Sequence[Mutation] = (
    Mutation(
        "topic-changed", "joins are checked again when a topic's settings change", 4,
        [(Hub, "on_topic_changed", lambda self, topic, version, public: None)],
    ),
    Mutation(
        "recent-events", "a join reads its position anew if the feed reported one meanwhile (Recent at the gateway)", 0,
        # Without copies as well: one of the join would be answered by the store whose link is not slow.
        [(Recent, "since", lambda self, key, at: False), (Budget, "affordable", False)],
        two_devices,
    ),
    Mutation(
        "late-position", "a position that was read before a join, and reported after it, counts what the join did", 0,
        [(Hub, "_report_position", _report_as_read)],
        late_position,
    ),
    Mutation(
        "known-position", "no position is reported to a client that is older than that in the answer to its join", 50,
        [(KnownPosition, "report", _report_older_too(KnownPosition.report))],
        old_position,
    ),
    Mutation(
        "feed-cursor", "an offer is sent to the watchers whose cursor it follows, and a gap is filled before it", 30,
        [(FeedCore, "_forward", _forward_without_cursor), (feed_client, "classify", _classify_without_gap)],
    ),
    Mutation(
        "resume-cursor", "a resume begins at the client's cursor", 0,
        [(Fanout, "attach", _attach_at_head(Fanout.attach))],
    ),
    Mutation(
        "ahead", "a sink whose join knows more than the feed gets only what follows its cursor", 67,
        [(Fanout, "attach", _attach_without_ahead(Fanout.attach))],
    ),
    Mutation(
        "ring-floor", "rows that the ring has evicted, or never had, are read from the log", 0,
        [(Ring, "after", _after_whatever_floor)],
    ),
    Mutation(
        "one-in-flight", "each account has one batch in flight in a lane", 41,
        [(FairQueue, "take", hold_nobody(FairQueue.take))],
    ),
    Mutation(
        "batch-id", "a batch that is sent again has the same id", 18,
        [(ServiceClient, "_send_once", _fresh_batch_each_time(ServiceClient._send_once))],
    ),
    Mutation(
        "poll-of-heads", "stores read all heads every second", 10,
        [(FeedServer, "_poll_heads", _poll_hinted_heads)],
    ),
    Mutation(
        "silent-stores", "a store that is silent may have committed what it did not announce: all is read again", 0,
        [(BusCore, "silent", lambda self, now: False)],
        lost_announcement,
    ),
    Mutation(
        "bus-numbers", "a message of the bus that was lost is noticed by the number of the next one", 0,
        [(BusCore, "receive", _receive_without_numbers(BusCore.receive))],
        lost_messages,
    ),
    Mutation(
        "mail-fence", "the store confirms an email right before it is sent", 0,
        [(Outbox, "confirm", _confirm_all)],
    ),
    Mutation(
        "drained", "who waits for a connection to drain waits only while its transport is paused", 0,
        [(WebSocketConnection, "wait_drained", _wait_below_low_water)],
        slow_reader,
    ),
    Mutation(
        "answer-again", "a poll that is repeated receives the answer that was lost", 1,
        [(LongPollSession, "poll", _take_for_newest(LongPollSession.poll))],
        lost_answers,
    ),
    Mutation(
        "lines-once", "a line of a request that is repeated is handled once", 6,
        [(Posts, "find", lambda self, seen, body: Post(b""))],
        lost_answers,
    ),
    Mutation(
        "library-resume", "the Python client joins again after the last seq that it returned", 0,
        [(ResumeCursor, "params", lambda self: {})],
    ),
)  # fmt: skip

BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
