"""The end of a connection that is not read any more: what was received before is answered first, within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ending:
    """Calls ``close`` once ``answered`` holds, and in any case after ``within`` seconds."""

    __slots__ = ("_answered", "_close", "_loop", "_timer")

    def __init__(self, answered: Callable[[], bool], close: Callable[[], None], within: float) -> None:
        self._answered = answered
        self._close = close
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(within, close)

    def check(self) -> None:
        """Check again, after the answer that is being made has been sent."""
        self._loop.call_soon(self._check)

    def cancel(self) -> None:
        """Close nothing: the connection is closed."""
        self._timer.cancel()

    def _check(self) -> None:
        if self._answered():
            self._timer.cancel()
            self._close()
