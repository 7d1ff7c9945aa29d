"""The deadlines of one connection: by when its client has to send a head, a body, or the next request.

One timer serves them all. A timer that is too early finds the later deadline, so that the requests of a connection do
not each create one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from notifyx_common.serving.http_limits import HttpLimits


class Deadlines:
    """What a client has to do next, and by when; ``passed`` is called once that is over."""

    __slots__ = (
        "_at", "_body_received", "_body_since", "_head_until", "_limits", "_loop", "_passed", "_timer", "_timer_at",
    )  # fmt: skip

    def __init__(self, limits: HttpLimits, passed: Callable[[], None]) -> None:
        self._limits = limits
        self._passed = passed
        self._loop = asyncio.get_running_loop()
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._head_until: float | None = None
        self._body_since = 0.0
        self._body_received = 0

    @property
    def head_has_begun(self) -> bool:
        """Whether the client has a time for its head."""
        return self._head_until is not None

    def head(self) -> None:
        """Expect a head. Further parts of one do not extend the time for all of it."""
        if self._head_until is None:
            self._head_until = self._loop.time() + self._limits.head_timeout
            self._set(self._head_until)

    def body(self, received: int) -> int:
        """Expect the rest of a body, of which ``received`` more bytes are there; return how many are there in all."""
        self._body_received += received
        self._set(self._body_since + self._limits.body_duration(self._body_received))
        return self._body_received

    def nothing(self) -> None:
        """Expect nothing: it is the server's turn."""
        self._at = math.inf

    def request_began(self) -> None:
        """Expect nothing but the body of a request, which has the time from now on."""
        self._head_until = None
        self._body_since, self._body_received = self._loop.time(), 0
        self._at = math.inf

    def within(self, seconds: float) -> None:
        """Expect whatever is next in that time."""
        self._set(self._loop.time() + seconds)

    def hold(self) -> tuple[float, float]:
        """Let the time stand still, as it is the server that is late; return what :meth:`go_on` takes."""
        held = self._at, self._loop.time()
        self._at = math.inf
        return held

    def go_on(self, held: tuple[float, float]) -> None:
        """Let the time go on."""
        at, since = held
        waited = self._loop.time() - since
        self._body_since += waited
        if self._head_until is not None:
            self._head_until += waited
        if self._at == math.inf:
            self._set(at + waited)

    def stop(self) -> None:
        """Expect nothing any more, and let go of the connection: else each closed one would be a cycle."""
        self._at, self._passed = math.inf, _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at: float) -> None:
        self._at = at
        if self._timer is not None and self._timer_at > at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and at < math.inf:
            # Its moment is kept here: uvloop's handle of a moment that has passed does not know its own.
            self._timer, self._timer_at = self._loop.call_at(at, self._check), at

    def _check(self) -> None:
        self._timer = None
        if self._loop.time() >= self._at:
            self._passed()
        else:
            self._set(self._at)


def _nothing() -> None:
    """Stand for what a closed connection does."""
