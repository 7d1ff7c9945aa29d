"""Turns of HTTP requests: so many are begun in one round of the event loop that the round stays short.

A request passes the event loop several times, and waits for a round each time. A stranger who sends hundreds of
requests at once, each of which is parsed, routed and refused, would make each of those rounds as long as all of them
take. So what is read is worked on for about :data:`SLICE` seconds of a round, or :data:`SHARED_SLICE` while clients of
several addresses wait. What is over waits for its turn, in the order of flow queuing
(:class:`~notifyx_common.limiting.flow_queue.FlowQueue`) by the client's address: who sends one request goes before
those who sent many.

A round is also made of what earlier requests, sockets and answers of other services have to do. How long that took is
measured, and fewer requests are begun after a long round, but at least one, and as many as fit :data:`LEAST_SHARE` of
the round. The event loop never waits while a request does; short rounds cost a flood a sixth of its throughput. As long
as nothing waits, a turn costs one look at the clock.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from time import perf_counter

from notifyx_common.limiting.addresses import client_address
from notifyx_common.limiting.flow_queue import FlowQueue
from notifyx_common.metrics import PoolUsage

SLICE = 0.004
SHARED_SLICE = 0.001
"""Seconds that a round of the event loop should take while requests wait, of one address or of several."""

FREE_SLICE = 0.008
"""Seconds of work after which the first request waits: the works of a hundred publishers at once do not."""

MEMORY = 0.1
"""Seconds for which a round is short after several addresses have waited: their requests pass further rounds."""

LEAST_SHARE = 0.125
"""Requests are begun for that part of a round, at least, however long others take."""

MAX_BEGUN = 200
"""Requests that are begun in a round, at most: the first ones may be cheaper than those that follow."""

MAX_HEAD = 16 << 10
"""Bytes in which the header with the client's address is looked for."""

AddressOf = Callable[[str, str | None], str]
"""Returns the address of a client, whose turns it shares, by the peer's and the header ``X-Forwarded-For``."""

_FORWARDED = re.compile(rb"\r\nx-forwarded-for:([^\r\n]*+)", re.IGNORECASE)


def peer_address(peer: str, forwarded_for: str | None) -> str:
    """Return the address of a client that comes through no proxy."""
    return client_address(peer, None, ())


class RequestTurns:
    """The turns of all HTTP connections of a process."""

    __slots__ = (
        "_address_of", "_began_at", "_begun", "_clock", "_cost", "_in_rounds", "_queue", "_round_at", "_shared_until",
        "_until", "waiting",
    )  # fmt: skip

    def __init__(self, address_of: AddressOf = peer_address, clock: Callable[[], float] = perf_counter) -> None:
        self._address_of = address_of
        self._clock = clock
        self._queue: FlowQueue[asyncio.Future[None]] = FlowQueue()
        self.waiting = 0
        """How many wait for their turn."""

        self._in_rounds = False
        """Whether :meth:`_next_round` is called in the next round."""

        self._until = self._round_at = self._began_at = self._shared_until = 0.0
        self._begun = 0
        """How many were given a turn in the last round, which began to work at ``_began_at``."""

        self._cost = SHARED_SLICE / 10
        """Seconds that one of them took until it waited for something else, lately."""

    def over(self) -> bool:
        """Return whether who wants to work now has to wait for a turn; called before each piece of work."""
        if self.waiting:
            return True
        now = self._clock()
        if now <= self._until:
            return False
        if self._in_rounds:
            return True
        # It may be long ago that the time was over: another slice, at whose end it is known whether this round goes on.
        self._begin(now)
        return False

    def usage(self) -> PoolUsage:
        """Return how many were begun in the last round, and how many wait."""
        return PoolUsage(self._begun if self._in_rounds else 0, MAX_BEGUN, self.waiting)

    def key(self, peer: str, data: bytes) -> str:
        """Return whose turns a request from ``peer`` takes, with whose head ``data`` begins."""
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
        found = _FORWARDED.findall(data, 0, end if end >= 0 else MAX_HEAD)
        return self._address_of(peer, b",".join(found).decode("latin-1") if found else None)

    async def take(self, key: str) -> None:
        """Wait for a turn of ``key``."""
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self._queue.add(key, place)
        self.waiting += 1
        if not self._in_rounds:
            self._begin(self._clock())
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._queue.discard(key, place)
                self.waiting -= 1
            raise

    def _begin(self, now: float) -> None:
        self._in_rounds = True
        self._begun = 0
        self._round_at, self._until = now, now + (SHARED_SLICE if now < self._shared_until else FREE_SLICE)
        asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        if not self.waiting:
            self._queue.next()  # nobody has a turn any more
            self._in_rounds = False
            return
        now, loop = self._clock(), asyncio.get_running_loop()
        own = 0.0
        if self._begun:
            own = now - self._began_at
            self._cost = (self._cost + own / self._begun) / 2
        other = max(0.0, now - self._round_at - own)
        if self._queue.keys > 1:
            self._shared_until = now + MEMORY
        room = max((SHARED_SLICE if now < self._shared_until else SLICE) - other, other * LEAST_SHARE)
        self._round_at, self._until = now, now + room
        # What is called in a round is called in this order: it is known what those took that have their turn now.
        loop.call_soon(self._note_begin)
        self._begun = self._grant(max(1, min(MAX_BEGUN, int(room / self._cost))))
        loop.call_soon(self._next_round)

    def _note_begin(self) -> None:
        self._began_at = self._clock()

    def _grant(self, count: int) -> int:
        """Give the next ``count`` places their turn; return how many there were."""
        granted = 0
        while granted < count and (place := self._queue.next()) is not None:
            if not place.done():  # else its task was cancelled
                place.set_result(None)
                self.waiting -= 1
                granted += 1
        return granted
