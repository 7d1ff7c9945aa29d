"""Clocks set forward by hand: hours pass between two lines of a test, however slow the machine is."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from notifyx_common.clock import SystemClock


class SetForward(SystemClock):
    """The machine's clock, and ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class LoopTime:
    """The time of the running event loop, for its timers and deadlines, set forward by ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0
        loop = asyncio.get_running_loop()
        machines = loop.time
        loop.time = lambda: machines() + self.ahead  # type: ignore[method-assign]  # the loop asks itself for the time


class WrongWallClock(SystemClock):
    """A machine whose wall clock is ``ahead`` seconds ahead; its monotonic time is right."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)
