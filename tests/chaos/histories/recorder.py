"""Records a history while it happens, by one clock."""

from __future__ import annotations

import time

from chaos.histories.events import Event


class Recorder:
    """The events so far, in the order in which they were noticed."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.events: list[Event] = []
        self.positions: dict[tuple[str, str], int] = {}
        """The last seq that each client has of each topic it still follows; 0 before its first join."""
        self.told: dict[tuple[str, str], tuple[str, int]] = {}
        """The user of each client, and up to where it was told last that the user has acknowledged each topic."""
        self.heads: dict[str, int] = {}
        """The highest seq of each topic that anybody has seen."""

    def now(self) -> float:
        """Return the seconds since the history began."""
        return time.monotonic() - self.began

    def add(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)

    def saw(self, topic: str, seq: int) -> None:
        """Remember that ``seq`` exists."""
        self.heads[topic] = max(self.heads.get(topic, 0), seq)
