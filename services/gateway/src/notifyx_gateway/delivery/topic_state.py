"""The delivery state of one topic: the head up to which it was delivered, and its sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

from notifyx_gateway.delivery.cursors import Row
from notifyx_gateway.delivery.ring import Ring
from notifyx_gateway.delivery.shortfall import Shortfall
from notifyx_gateway.delivery.sinks import Format, Sink

Send: TypeAlias = Callable[[Any, int], None]
""":meth:`Sink.send` of one sink."""


class TopicState:
    """One watched topic."""

    __slots__ = (
        "ahead",
        "behind",
        "forgotten",
        "fresh",
        "fresh_head",
        "gone",
        "head",
        "linger",
        "live",
        "memo",
        "name",
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
        self.gone = False
        self.ring = Ring(head)
        self.forgotten = 0
        """How often the rows were forgotten: what was read from the log before may be out of date."""
        self.live: dict[Format, dict[Sink, Send]] = {}
        """Sends of the live sinks, so that a broadcast looks none up."""
        self.ahead: dict[Sink, tuple[int, Shortfall]] = {}
        """Sinks that have more than this gateway: their cursors, and what they were told."""
        self.behind: dict[Sink, asyncio.Task[None]] = {}
        self.fresh: list[Row] = []
        self.fresh_head = head
        self.linger: asyncio.TimerHandle | None = None
        self.memo: tuple[Format, int, int, Any, int, int] | None = None

    def sinks(self) -> list[Sink]:
        """Return every sink, in any state."""
        return [*(sink for group in self.live.values() for sink in group), *self.ahead, *self.behind]

    def forget_rows(self) -> None:
        """Forget the copies of rows that were delivered: the author of some may have left."""
        self.ring.clear()
        self.memo = None
        self.forgotten += 1

    def go_live(self, sink: Sink) -> None:
        """Mark ``sink``, which has everything up to ``head``, as live."""
        self.live.setdefault(sink.format, {})[sink] = sink.send

    def is_live(self, sink: Sink) -> bool:
        """Return whether ``sink`` has everything up to ``head``."""
        return sink in self.live.get(sink.format, ())

    def remove(self, sink: Sink) -> None:
        """Remove ``sink`` and cancel its catch-up."""
        group = self.live.get(sink.format)
        if group is not None:
            group.pop(sink, None)
            if not group:
                del self.live[sink.format]
        self.ahead.pop(sink, None)
        task = self.behind.pop(sink, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    @property
    def idle(self) -> bool:
        """Whether the topic has no sink."""
        return not (self.live or self.ahead or self.behind)
