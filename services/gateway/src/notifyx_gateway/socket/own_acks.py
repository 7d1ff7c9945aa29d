"""Which acknowledgement on the feed is a channel's own: it has its reply already and is not told again."""

from __future__ import annotations

from collections import deque
from typing import Any

MAX_PENDING = 8
"""Own acknowledgements remembered while their echo has not come back."""

PENDING_TTL = 10.0
"""Seconds; an acknowledgement that changed nothing has no echo, and must not hide another device's later."""


class OwnAcks:
    """Of one channel. Events that come while an own ack is under way wait for its reply, which tells whose they are."""

    __slots__ = ("_expected", "_held", "_in_flight")

    def __init__(self) -> None:
        self._in_flight = 0
        self._held: list[dict[str, Any]] = []
        self._expected: deque[tuple[int, int, frozenset[int], float]] = deque(maxlen=MAX_PENDING)

    def begin(self) -> None:
        """An own ack is sent to the store."""
        self._in_flight += 1

    def finish(self, up_to: int, unread: int, seqs: frozenset[int], now: float) -> list[dict[str, Any]]:
        """It was answered with that position; returns the held events that are other devices'."""
        self._expected.append((up_to, unread, seqs, now + PENDING_TTL))
        return self._release(now)

    def fail(self, now: float) -> list[dict[str, Any]]:
        """It was refused; returns the held events that are other devices'."""
        return self._release(now)

    def is_own(self, event: dict[str, Any], now: float) -> bool:
        """Whether ``event`` is not to be pushed now: an own one's echo, or one that is held."""
        if self._matches(event, now):
            return True
        if self._in_flight and len(self._held) < 100:
            self._held.append(event)
            return True
        return False

    def _release(self, now: float) -> list[dict[str, Any]]:
        self._in_flight -= 1
        held, self._held = self._held, []
        others = [event for event in held if not self._matches(event, now)]
        if self._in_flight:
            self._held, others = others, []
        return others

    def _matches(self, event: dict[str, Any], now: float) -> bool:
        while self._expected and self._expected[0][3] < now:
            self._expected.popleft()
        for expected in self._expected:
            up_to, unread, seqs, _ = expected
            if event["up_to"] == up_to and event["unread"] == unread and seqs.issuperset(event["seqs"]):
                self._expected.remove(expected)
                return True
        return False
