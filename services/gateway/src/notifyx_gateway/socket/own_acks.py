"""Recognises acknowledgements on the feed that a channel sent itself: they have a reply and need no push. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any

from notifyx_common.contracts.store.acks import AckResult

MAX_PENDING = 8
"""Maximum number of own acknowledgements whose event on the feed is still expected."""

PENDING_TTL = 10.0
"""How long an event is expected, in seconds: an ack that changed nothing causes none."""


class OwnAcks:
    """The own acks of one channel. Events that arrive during an own ack are held until its reply identifies them.

    An event may have been read before an own ack and come after its reply, which told the client more. Where it does
    not show that, it is pushed, and so is each own event after it: the client is then told the newer one last.
    """

    __slots__ = ("_expected", "_held", "_in_flight", "_known", "_known_until")

    def __init__(self) -> None:
        self._in_flight = 0
        self._held: list[dict[str, Any]] = []
        self._expected: deque[tuple[AckResult, frozenset[int], float]] = deque(maxlen=MAX_PENDING)
        self._known = (0, 0)
        self._known_until = 0.0
        """The newest revision and cursor of a reply; within a revision and a subscription a cursor only grows."""

    def begin(self) -> None:
        """Record that an own ack is sent to the store."""
        self._in_flight += 1

    def finish(self, result: AckResult, seqs: frozenset[int], now: float) -> list[dict[str, Any]]:
        """Record the position in the reply; return the held events of other devices."""
        self._expected.append((result, seqs, now + PENDING_TTL))
        self._known = max(self._known_at(now), (result.revision, result.acked_up_to))
        self._known_until = now + PENDING_TTL
        return self._release(now)

    def fail(self, now: float) -> list[dict[str, Any]]:
        """Record that the ack failed; return the held events of other devices."""
        return self._release(now)

    def is_own(self, event: dict[str, Any], now: float) -> bool:
        """Return whether ``event`` must not be pushed now: it is of an own ack, older than its reply, or held."""
        if self._is_known(event, now):
            return True
        if self._in_flight and len(self._held) < 100:
            self._held.append(event)
            return True
        self._expected.clear()
        return False

    def _release(self, now: float) -> list[dict[str, Any]]:
        self._in_flight -= 1
        held, self._held = self._held, []
        if self._in_flight:
            self._held = [event for event in held if not self._is_known(event, now)]
            return []
        return [event for event in held if not self.is_own(event, now)]

    def _is_known(self, event: dict[str, Any], now: float) -> bool:
        return self._matches(event, now) or (event.get("revision", 0), event["up_to"]) < self._known_at(now)

    def _known_at(self, now: float) -> tuple[int, int]:
        return self._known if now < self._known_until else (0, 0)

    def _matches(self, event: dict[str, Any], now: float) -> bool:
        while self._expected and self._expected[0][2] < now:
            self._expected.popleft()
        for expected in self._expected:
            result, seqs, _ = expected
            position = event["up_to"], event["unread"], event.get("revision", 0)
            same = position == (result.acked_up_to, result.unread, result.revision)
            if same and seqs.issuperset(event["seqs"]):
                self._expected.remove(expected)
                return True
        return False
