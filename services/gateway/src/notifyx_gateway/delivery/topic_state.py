"""The delivery state of one topic: the head up to which it was delivered, and its sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.ring import Ring
from notifyx_gateway.delivery.shortfall import Shortfall
from notifyx_gateway.delivery.sinks import Format, Sink


@dataclass(slots=True)
class Progress:
    """How far a sink is: ``cursor`` is the last seq that it has.

    Rows up to ``log_up_to`` come from the log: the ring may have rows of it that retention removed. ``shortfall`` is
    what the sink was told to be missing.
    """

    cursor: int
    log_up_to: int = 0
    shortfall: Shortfall = field(default_factory=Shortfall)


Send: TypeAlias = Callable[[Any, int], None]
""":meth:`Sink.send` of one sink."""


class TopicState:
    """One watched topic."""

    __slots__ = (
        "ahead",
        "behind",
        "evictions",
        "fresh",
        "fresh_head",
        "gone",
        "head",
        "held",
        "linger",
        "live",
        "memo",
        "name",
        "public",
        "ring",
        "topic_id",
        "version",
    )

    def __init__(self, name: str, topic_id: str, head: int, version: str = "") -> None:
        self.name = name
        self.topic_id = topic_id
        self.head = head
        self.version = version
        """The version of the topic's settings by which all sinks may read, or are being checked again."""
        self.public = False
        """Whether by that version everyone who is signed in may read, as far as the feed has told."""
        self.gone = False
        self.ring = Ring(head)
        self.evictions = 0
        """Number of times that the rows were evicted: what was read from the log before may be out of date."""
        self.live: dict[Format, dict[Sink, Send]] = {}
        """Sends of the live sinks, so that a broadcast looks none up."""
        self.ahead: dict[Sink, Progress] = {}
        """Sinks that have more than this gateway."""
        self.behind: dict[Sink, tuple[Progress, asyncio.Task[None]]] = {}
        """Sinks that catch up, each by a task."""
        self.held: dict[Sink, Progress] = {}
        """Sinks that get nothing until it is known whether they may still read."""
        self.fresh: list[Row] = []
        self.fresh_head = head
        self.linger: asyncio.TimerHandle | None = None
        self.memo: tuple[Format, int, int, Any, int, int] | None = None

    def sinks(self) -> list[Sink]:
        """Return every sink, in any state."""
        return [*(sink for group in self.live.values() for sink in group), *self.ahead, *self.behind, *self.held]

    def evict_rows(self) -> None:
        """Evict the copies of rows that were delivered: the author of some may have left."""
        self.ring.clear()
        self.memo = None
        self.evictions += 1

    def go_live(self, sink: Sink) -> None:
        """Mark ``sink``, which has everything up to ``head``, as live."""
        self.live.setdefault(sink.format, {})[sink] = sink.send

    def is_live(self, sink: Sink) -> bool:
        """Return whether ``sink`` has everything up to ``head``."""
        return sink in self.live.get(sink.format, ())

    def remove(self, sink: Sink) -> Progress | None:
        """Remove ``sink`` and cancel its catch-up; return how far it is, if it was here."""
        if (progress := self.ahead.pop(sink, None) or self.held.pop(sink, None)) is not None:
            return progress
        if (behind := self.behind.pop(sink, None)) is not None:
            progress, task = behind
            if task is not asyncio.current_task():
                task.cancel()
            return progress
        group = self.live.get(sink.format, {})
        if group.pop(sink, None) is None:
            return None
        if not group:
            del self.live[sink.format]
        return Progress(self.head)

    def hold(self, sink: Sink) -> None:
        """Deliver nothing to ``sink``, which is here, until it is attached again."""
        if (progress := self.remove(sink)) is not None:
            self.held[sink] = progress

    @property
    def idle(self) -> bool:
        """Whether the topic has no sink."""
        return not (self.live or self.ahead or self.behind or self.held)
