"""Decides what one replica sends on a bus that may lose messages, and what it has missed of others. Pure.

Each replica numbers its messages, and sends a beacon with the last number while it has nothing else to send. So others
notice a message that was lost by the next one, and a replica that was lost with what it had committed and not yet
announced by its silence. One that stops sends that it leaves, and is missed by nobody.

A message is a line of JSON, ``{"o": "<origin>", "n": <number>}``, with the payloads of :mod:`.wakeups` in the lines
after it, or none in a beacon. ``"end": true`` says that the replica leaves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from notifyx_store.base import wakeups
from notifyx_store.base.wakeups import Wakeup

BEACON_INTERVAL = 1.0
"""Seconds between two messages of a replica that has nothing to announce."""

SILENT_AFTER = 3.5
"""Seconds without a message after which a replica counts as lost."""

MESSAGE_SIZE = 32 << 10
"""Characters of payloads above which a message gets no more of them."""

MAX_QUEUED = 4 << 20
"""Characters of payloads that wait to be sent; what comes beyond is not sent, and others notice that it is missing."""

MAX_UNKNOWN = 1000
"""Payloads of commits with an unknown outcome that wait to be announced again."""

MAX_PEERS = 200
"""Replicas that are followed at a time; beyond it, the one that was silent longest counts as lost."""

Missed = Literal["", "gap", "silent", "unknown"]
"""Why wake-ups may have been missed: a gap in the numbers, a replica that is silent, or one that was not known."""


@dataclass(slots=True)
class _Peer:
    number: int
    seen_at: float


@dataclass(frozen=True, slots=True)
class Received:
    """What a message says, and why others before it may have been missed."""

    wakeups: Sequence[Wakeup] = ()
    missed: Missed = ""


@dataclass(slots=True)
class BusCore:
    """One replica on the bus, named by ``origin``. Times are monotonic seconds.

    A commit with an unknown outcome may take effect for as long as its statement may run: it is announced at once, and
    again after ``unknown_delay``.
    """

    origin: str
    unknown_delay: float
    connected: bool = False
    """Whether what is announced can be sent. Where it is not, nothing is queued: a later gap says so."""

    _number: int = 0
    _queue: deque[str] = field(default_factory=deque)
    _queued: int = 0
    _unknown: deque[tuple[float, str]] = field(default_factory=deque)
    _peers: dict[str, _Peer] = field(default_factory=dict)

    def announce(self, payloads: Sequence[str], now: float, *, known: bool = True) -> None:
        """Send ``payloads`` with the next messages; if it is not ``known`` that they were committed, again later."""
        size = sum(map(len, payloads))
        if not self.connected or self._queued + size > MAX_QUEUED:
            self._number += 1
        else:
            self._queue.extend(payloads)
            self._queued += size
        if not known:
            self._unknown.extend((now + self.unknown_delay, payload) for payload in payloads)
            while len(self._unknown) > MAX_UNKNOWN:
                self._unknown.popleft()
                self._number += 1

    def due(self, now: float) -> list[str]:
        """Announce again what had an unknown outcome, once its time has come; return it."""
        payloads = []
        while self._unknown and self._unknown[0][0] <= now:
            payloads.append(self._unknown.popleft()[1])
        if payloads:
            self.announce(payloads, now)
        return payloads

    def messages(self) -> Iterator[bytes]:
        """Yield the messages with all that waits."""
        while self._queue:
            part: list[str] = []
            size = 0
            while self._queue and size < MESSAGE_SIZE:
                part.append(self._queue.popleft())
                size += len(part[-1])
            self._queued -= size
            self._number += 1
            yield self._message(part)

    def beacon(self) -> bytes:
        """Return the message that says how many there were."""
        return self._message()

    def end(self) -> bytes:
        """Return the message that says that this replica leaves."""
        return self._message(end=True)

    def disconnect(self) -> None:
        """Give up what waits: it may have been sent, or not."""
        if self._queue:
            self._number += 1
        self._queue.clear()
        self._queued = 0
        self.connected = False

    def connect(self, now: float) -> None:
        """Begin to send. From now on the silence of others counts."""
        self.connected = True
        for peer in self._peers.values():
            peer.seen_at = now

    def receive(self, data: bytes, now: float) -> Received:
        """Read a message of another replica; one that Notifyx did not write says nothing."""
        head, *lines = data.split(b"\n")
        try:
            fields = orjson.loads(head)
            origin, number, end = str(fields["o"]), int(fields["n"]), bool(fields.get("end"))
        except (ValueError, TypeError, KeyError, AttributeError):
            return Received()
        if origin == self.origin:
            return Received()
        peer = self._peers.pop(origin, None)
        missed: Missed = ""
        before = number - 1 if lines else number
        if peer is None:
            missed = "unknown" if before > 0 else ""
        elif before > peer.number:
            missed = "gap"
        if not end:
            missed = self._make_room() or missed
            self._peers[origin] = _Peer(max(number, peer.number if peer is not None else 0), now)
        return Received(list(_parsed(lines)), missed)

    def silent(self, now: float) -> bool:
        """Return whether a replica that did not say that it leaves is silent now; it is not followed any more."""
        lost = [origin for origin, peer in self._peers.items() if now - peer.seen_at >= SILENT_AFTER]
        for origin in lost:
            del self._peers[origin]
        return bool(lost)

    def _make_room(self) -> Missed:
        if len(self._peers) < MAX_PEERS:
            return ""
        del self._peers[min(self._peers, key=lambda origin: self._peers[origin].seen_at)]
        return "silent"

    def _message(self, payloads: Sequence[str] = (), *, end: bool = False) -> bytes:
        head = {"o": self.origin, "n": self._number} | ({"end": True} if end else {})
        return b"\n".join([orjson.dumps(head), *(payload.encode() for payload in payloads)])


def _parsed(lines: Iterable[bytes]) -> Iterator[Wakeup]:
    for line in lines:
        if (wakeup := wakeups.parse(line)) is not None:
            yield wakeup
