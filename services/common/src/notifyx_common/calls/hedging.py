"""When a call that has no answer yet is sent to a second node as well. Pure.

A copy is sent after the usual time of such calls: what takes longer than 99 of a hundred may be at a node that hangs.
A budget bounds the copies to a small part of all calls, so that they double nothing where everything is slow. What
usually takes long is not copied at all: its time says little about its node, and a copy of it is expensive.
"""

from __future__ import annotations

import heapq
from collections import deque

MIN_DELAY = 0.01
"""A copy is not sent earlier, in seconds: the pauses of a busy machine are as long."""

MAX_DELAY = 0.15
"""Calls that usually take longer, in seconds, are not copied."""

FIRST_DELAY = 0.1
"""The delay while too few calls were measured, in seconds."""

MEASURED = 256
"""Calls of one kind whose times are known: the newest."""

FEW_MEASURED = 32
"""With fewer, the usual time is not known."""

EVERY = 16
"""After that many calls, the usual time is determined anew."""

BURST = 50
"""Copies that may be sent at once after a quiet time: more than the calls that meet a node that has begun to hang,
before it is known to owe an answer."""


class UsualTime:
    """The time that 99 of a hundred calls of one kind do not exceed, of the newest ones."""

    __slots__ = ("_newest", "_since", "delay")

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=MEASURED)
        self._since = 0
        self.delay: float | None = FIRST_DELAY
        """Seconds until a copy is sent; ``None``: none is."""

    def note(self, seconds: float) -> None:
        """Record how long a node took to answer."""
        self._newest.append(seconds)
        self._since += 1
        if self._since >= EVERY and len(self._newest) >= FEW_MEASURED:
            self._since = 0
            usual = heapq.nlargest(1 + len(self._newest) // 100, self._newest)[-1]
            self.delay = max(usual, MIN_DELAY) if usual <= MAX_DELAY else None


class Budget:
    """The copies that may be sent: the part ``share`` of the calls, and ``burst`` after a quiet time."""

    __slots__ = ("_burst", "_left", "_share")

    def __init__(self, share: float, burst: float) -> None:
        self._share = share
        self._burst = burst
        self._left = burst

    def earn(self) -> None:
        """Record a call."""
        self._left = min(self._burst, self._left + self._share)

    @property
    def affordable(self) -> bool:
        """Whether a copy may be sent now."""
        return self._left >= 1

    def spend(self) -> None:
        """Record a copy."""
        self._left -= 1
