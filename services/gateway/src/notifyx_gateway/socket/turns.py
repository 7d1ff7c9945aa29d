"""Gives the event loop back between the messages of busy connections, in turns between their accounts.

In one round of the event loop all connections together work on messages for :data:`SLICE` seconds, or, while one
account floods and others are at work, :data:`SHARED_SLICE`: a request passes the event loop several times and waits for
a round each time. What is read beyond that is held by its connection, which is not read meanwhile, and worked on in the
turns of a :class:`~notifyx_common.limiting.flow_queue.FlowQueue`, over however many connections an account sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from notifyx_common.limiting.flow_queue import FlowQueue

SLICE = 0.004
SHARED_SLICE = 0.001
"""Seconds of one round of the event loop."""


class Busy(Protocol):
    """A connection with held messages."""

    @property
    def owner(self) -> str:
        """Return the account whose turn it uses."""
        ...

    def take_turn(self) -> bool:
        """Work on some messages; return whether more are left that may be worked on now."""
        ...


class Turns:
    """The turns of all connections of a node."""

    __slots__ = ("_clock", "_shared", "_until", "_waiting")

    def __init__(self, shared: Callable[[], bool], clock: Callable[[], float] = perf_counter) -> None:
        """``shared`` returns whether several accounts are at work."""
        self._shared = shared
        self._clock = clock
        self._until = 0.0
        self._waiting: FlowQueue[Busy] = FlowQueue()

    def over(self) -> bool:
        """Return whether this round's time is used up; called before each message."""
        now = self._clock()
        if not self._until:
            self._begin(now)
        return now > self._until

    def wait(self, connection: Busy) -> None:
        """Let ``connection`` wait for its turn; again is allowed."""
        self._waiting.add(connection.owner, connection)
        if not self._until:
            self._begin(self._clock())

    def leave(self, connection: Busy) -> None:
        """Remove a connection that is closed."""
        self._waiting.discard(connection.owner, connection)

    def _begin(self, now: float) -> None:
        # Where several accounts send much, a short round would only cost all of them more. One of two may have had
        # a single message.
        short = self._waiting.active <= 2 and self._shared()
        self._until = now + (SHARED_SLICE if short else SLICE)
        asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        if not self._waiting:
            self._until = 0.0
            return
        self._begin(self._clock())
        while self._clock() <= self._until and (connection := self._waiting.next()) is not None:
            if connection.take_turn():
                self._waiting.add(connection.owner, connection)
