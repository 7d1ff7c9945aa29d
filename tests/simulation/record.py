"""The record of a history: its events, and what is known of it while it runs."""

from __future__ import annotations

from random import Random

from chaos.histories.events import Event
from simulation.network import Network


class Record:
    """Events in the order in which they happened; ``expected`` is what clients still have to get to."""

    def __init__(self, network: Network, random: Random) -> None:
        self.network = network
        self.random = random
        self.events: list[Event] = []

    def now(self) -> float:
        """Seconds since the history began."""
        return self.network.loop.time()

    def add(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)
        self.network.note("event", event.kind, tuple(event.__dict__.values()))
