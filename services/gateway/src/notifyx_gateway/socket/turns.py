"""Gives the event loop back between the messages of busy connections, in turns between their accounts.

In one round of the event loop all connections together work on messages for :data:`SLICE` seconds, or, while one
account floods and others are at work, :data:`SHARED_SLICE`: a request passes the event loop several times and waits for
a round each time. What is read beyond that is held by its connection, which is not read meanwhile, and worked on in
turns.

Turns are those of flow queuing (RFC 8290), a flow being an account: an account that had nothing to do goes before those
that had, and after its first turn it is one of them, however little it needed. So the latency of who sends little does
not depend on who sends much, nor over how many connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

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

    __slots__ = ("_active", "_clock", "_new", "_shared", "_until", "_waiting")

    def __init__(self, shared: Callable[[], bool], clock: Callable[[], float] = perf_counter) -> None:
        """``shared`` returns whether several accounts are at work."""
        self._shared = shared
        self._clock = clock
        self._until = 0.0
        self._waiting: dict[str, dict[Busy, None]] = {}
        """The connections of each account that has some, or had in its last turn."""
        self._new: dict[str, None] = {}
        self._active: dict[str, None] = {}
        """Accounts whose first turn is to come, and the others, each in the order of their turns."""

    def over(self) -> bool:
        """Return whether this round's time is used up; called before each message."""
        now = self._clock()
        if not self._until:
            self._begin(now)
        return now > self._until

    def wait(self, connection: Busy) -> None:
        """Let ``connection`` wait for its turn; again is allowed."""
        owner = connection.owner
        waiting = self._waiting.get(owner)
        if waiting is None:
            self._new[owner] = None
            waiting = self._waiting[owner] = {}
        waiting[connection] = None
        if not self._until:
            self._begin(self._clock())

    def leave(self, connection: Busy) -> None:
        """Forget a connection that is closed."""
        if (waiting := self._waiting.get(connection.owner)) is not None:
            waiting.pop(connection, None)

    def _begin(self, now: float) -> None:
        # Where several accounts send much, a short round would only cost all of them more. One of two may have had
        # a single message.
        short = len(self._active) <= 2 and self._shared()
        self._until = now + (SHARED_SLICE if short else SLICE)
        asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        if not self._waiting:
            self._until = 0.0
            return
        self._begin(self._clock())
        while (accounts := self._new or self._active) and self._clock() <= self._until:
            owner = next(iter(accounts))
            del accounts[owner]
            if self._serve(self._waiting[owner]):
                self._active[owner] = None
            else:
                del self._waiting[owner]

    def _serve(self, waiting: dict[Busy, None]) -> bool:
        """Give an account its turn; return whether it had something to do."""
        if not waiting:
            return False
        connection = next(iter(waiting))
        del waiting[connection]
        if connection.take_turn():
            waiting[connection] = None
        return True
