"""A bus of messages that may be lost: what was committed is announced afterwards, and no commit waits for another's.

Who was not there when something was announced has missed it, notices that (:mod:`.bus_core`) and reads. While there is
no connection, this replica still wakes itself; what others publish is found by the feed's poll, and all else is read
again from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

from notifyx_common.background import Background, every, pause
from notifyx_common.backoff import Backoff, jittered
from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_store.base import wakeups
from notifyx_store.base.bus import OnMissed, OnWakeup
from notifyx_store.base.bus_core import BEACON_INTERVAL, BusCore

log = get_logger(__name__)

PING_INTERVAL = 5.0
"""Seconds between two round trips to the server."""

AWAY_INTERVAL = 30.0
"""Seconds between two reads of all that wake-ups would have said, while there is no connection."""

STABLE_AFTER = 10.0
"""Seconds that a connection lasts before the pauses between two attempts are short again."""

READ_INTERVAL = 3.0
"""Least seconds between two reads of all that, unless the connection is new; it costs the more, the more is watched."""

CHECK_INTERVAL = 0.5
"""Interval of checks for silent replicas, in seconds."""

_RETRIES = Backoff(0.1, 5.0)


class BusAway(NotifyxError):
    """There is no connection now; the reason says why."""

    code = "bus_away"


class BusConnection(Protocol):
    """One connection, which is used once. Each of its waits has a deadline."""

    async def connect(self) -> None:
        """Connect. What others send after it returns is received. Raises :class:`BusAway`."""
        ...

    async def publish(self, messages: Iterable[bytes]) -> None:
        """Send messages to all other replicas, in their order. Raises :class:`BusAway`."""
        ...

    async def ping(self) -> None:
        """Wait until the server has read all that was sent. Raises :class:`BusAway`."""
        ...

    async def leave(self, messages: Iterable[bytes]) -> None:
        """Send last messages, if that is possible."""
        ...

    async def close(self) -> None:
        """Close what there is of the connection."""
        ...


class Connect(Protocol):
    """Makes a connection that is not yet connected.

    ``on_message`` gets each message, ``on_dropped`` is called where some were not read in time, and ``on_lost`` when
    the connection is lost.
    """

    def __call__(
        self, on_message: Callable[[bytes], None], on_dropped: Callable[[], None], on_lost: Callable[[], None]
    ) -> BusConnection: ...


class MessageBus:
    """The bus of one replica, which ``origin`` names.

    ``unknown_delay``: seconds after which a commit with an unknown outcome has taken effect, or will not.
    """

    def __init__(self, origin: str, connect: Connect, unknown_delay: float, clock: Clock, metrics: Metrics) -> None:
        self.trouble = ""
        self._connect = connect
        self._clock = clock
        self._core = BusCore(origin, unknown_delay)
        self._away = metrics.gauge("notifyx_bus_away")
        self._missed = metrics.counter("notifyx_bus_missed_total")
        self._wanted = asyncio.Event()
        self._away_read_at = 0.0
        self._read_again = ""
        self._read_at = -math.inf
        self._on_wakeup: OnWakeup = lambda wakeup: None
        self._on_missed: OnMissed = lambda: None

    def announce(self, payloads: Sequence[str], known: bool) -> None:
        """Wake this replica at once, and the others by the next message."""
        self._core.announce(payloads, self._clock.monotonic(), known=known)
        self._wanted.set()
        # Not at once: an error of a listener is none of the transaction, which is committed.
        asyncio.get_running_loop().call_soon(self._wake, payloads)

    @contextlib.asynccontextmanager
    async def running(self, background: Background) -> AsyncIterator[None]:
        """Be connected while the block is entered, as far as that is possible."""
        self._away.set(1)
        self._plan_to_read()
        async with background.tasks() as tasks:
            tasks.endless("bus", self._run())
            tasks.endless("bus checks", every(CHECK_INTERVAL, self._check))
            yield

    async def listen(self, on_wakeup: OnWakeup, on_missed: OnMissed) -> None:
        """Pass wake-ups on until cancelled; ``on_missed`` is called whenever some may have been missed."""
        self._on_wakeup, self._on_missed = on_wakeup, on_missed
        if self._core.connected:
            on_missed()
        await asyncio.Event().wait()

    async def _run(self) -> None:
        failures = 0
        while True:
            connection = self._connect(self._receive, lambda: self._miss("slow"), self._wanted.set)
            began = self._clock.monotonic()
            try:
                await connection.connect()
                self._connected()
                await self._carry(connection)
            except BusAway as error:
                lasted = self._core.connected and self._clock.monotonic() - began >= STABLE_AFTER
                failures = 1 if lasted else failures + 1
                self._disconnected(error.reason)
            finally:
                await connection.close()
            await asyncio.sleep(_RETRIES.after(failures))

    async def _carry(self, connection: BusConnection) -> None:
        """Send what is announced, or a beacon, until the connection is lost. Raises :class:`BusAway`."""
        core, next_ping = self._core, self._clock.monotonic() + PING_INTERVAL
        try:
            while True:
                self._wanted.clear()
                await connection.publish(list(core.messages()) or [core.beacon()])
                if self._clock.monotonic() >= next_ping:
                    await connection.ping()
                    next_ping = self._clock.monotonic() + jittered(PING_INTERVAL)
                await pause(BEACON_INTERVAL, self._wanted)
        except asyncio.CancelledError:
            await connection.leave([*core.messages(), core.end()])
            raise

    def _connected(self) -> None:
        self._core.connect(self._clock.monotonic())
        self.trouble = ""
        self._away.set(0)
        log.info("bus_connected")
        self._report("connected")

    def _disconnected(self, reason: str) -> None:
        if self._core.connected:
            self._plan_to_read()
        self._core.disconnect()
        self._away.set(1)
        if reason != self.trouble:
            log.warning("bus_away", reason=reason)
        self.trouble = reason

    def _receive(self, data: bytes) -> None:
        received = self._core.receive(data, self._clock.monotonic())
        if received.missed:
            self._miss(received.missed)
        for wakeup in received.wakeups:
            self._on_wakeup(wakeup)

    def _wake(self, payloads: Sequence[str]) -> None:
        for payload in payloads:
            if (wakeup := wakeups.parse(payload)) is not None:
                self._on_wakeup(wakeup)

    async def _check(self) -> None:
        """Announce what is due again, and have everything read again where something was missed."""
        now = self._clock.monotonic()
        if due := self._core.due(now):
            self._wanted.set()
            self._wake(due)
        if self._core.connected and self._core.silent(now):
            self._miss("silent")
        if not self._core.connected and now >= self._away_read_at:
            self._plan_to_read()
            self._miss("away")
        if (cause := self._read_again) and now - self._read_at >= READ_INTERVAL:
            self._report(cause)

    def _miss(self, cause: str) -> None:
        self._read_again = self._read_again or cause

    def _report(self, cause: str) -> None:
        self._read_again, self._read_at = "", self._clock.monotonic()
        self._missed.labels(cause).inc()
        self._on_missed()

    def _plan_to_read(self) -> None:
        self._away_read_at = self._clock.monotonic() + jittered(AWAY_INTERVAL)
