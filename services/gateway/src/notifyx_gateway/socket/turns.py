"""Gives the event loop back between the messages of busy connections.

In one round of the event loop all connections together work on messages for :data:`SLICE` seconds. What was read beyond
that is held by its connection, which is not read meanwhile, and worked on in turns. A connection that had to wait for
the first time goes before those that have used a whole turn, so the latency of who sends little does not depend on who
sends much.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Protocol

SLICE = 0.004


class Busy(Protocol):
    """A connection with held messages."""

    def take_turn(self) -> bool:
        """Work on some messages; return whether more are left that may be worked on now."""
        ...


class Turns:
    """The turns of all connections of a node."""

    __slots__ = ("_busy", "_first", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._first: dict[Busy, None] = {}
        self._busy: dict[Busy, None] = {}

    def over(self) -> bool:
        """Return whether this round's time is used up; called after each message that is worked on as it is read."""
        now = perf_counter()
        if not self._until:
            self._begin(now)
        return now > self._until

    def wait(self, connection: Busy) -> None:
        """Let ``connection`` wait for its turn."""
        if connection in self._busy or connection in self._first:
            return
        self._first[connection] = None
        if not self._until:
            self._begin(perf_counter())

    def leave(self, connection: Busy) -> None:
        """Forget a connection that is closed."""
        self._first.pop(connection, None)
        self._busy.pop(connection, None)

    def _begin(self, now: float) -> None:
        self._until = now + SLICE
        asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        if not (self._first or self._busy):
            self._until = 0.0
            return
        self._begin(perf_counter())
        while (waiting := self._first or self._busy) and perf_counter() < self._until:
            connection = next(iter(waiting))
            del waiting[connection]
            if connection.take_turn():
                self._busy[connection] = None
