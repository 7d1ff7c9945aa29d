"""What one connection may send: token buckets of messages, of bytes and of control messages. Pure.

Who sends more is not rejected: it is not read for a while, so the sender's own kernel stops it. *Control messages* are
those that no honest client sends in numbers: joins, leaves, heartbeats, pings, and messages that are rejected.
Their bucket is small, and who empties it again and again is disconnected.
"""

from __future__ import annotations

from dataclasses import dataclass

from notifyx_common.clock import Clock
from notifyx_common.limiting.buckets import Bucket

PORTION = 64
BYTES_PORTION = 64 << 10
"""Messages and bytes that are drawn from the buckets at once, so that most messages cost two subtractions."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The buckets of every connection."""

    messages: Bucket
    bytes: Bucket
    control: Bucket


class Budget:
    """The budget of one connection. Each method returns for how long the connection is not to be read, in seconds."""

    __slots__ = (
        "_bytes",
        "_bytes_full_at",
        "_clock",
        "_control_full_at",
        "_messages",
        "_messages_full_at",
        "_rates",
        "overdrawn",
    )

    def __init__(self, rates: Rates, clock: Clock) -> None:
        self._rates = rates
        self._clock = clock
        self._messages = self._bytes = 0
        self._messages_full_at = self._bytes_full_at = self._control_full_at = 0.0
        self.overdrawn = 0
        """Control messages beyond the budget since it was last unused."""

    @property
    def hopeless(self) -> bool:
        """Whether the connection has sent a second burst of control messages without a pause."""
        return self.overdrawn > self._rates.control.burst

    def spend(self, size: int) -> float:
        """Count a message of ``size`` bytes."""
        self._messages -= 1
        self._bytes -= size
        if self._messages >= 0 and self._bytes >= 0:
            return 0.0
        now, wait = self._clock.monotonic(), 0.0
        if self._messages < 0:
            self._messages += PORTION
            bucket = self._rates.messages
            self._messages_full_at = bucket.after(self._messages_full_at, now, PORTION)
            wait = bucket.debt(self._messages_full_at, now)
        if self._bytes < 0:
            drawn = BYTES_PORTION - self._bytes
            self._bytes = BYTES_PORTION
            bucket = self._rates.bytes
            self._bytes_full_at = bucket.after(self._bytes_full_at, now, drawn)
            wait = max(wait, bucket.debt(self._bytes_full_at, now))
        return wait

    def spend_control(self) -> float:
        """Count one control message, in addition to :meth:`spend`."""
        now, bucket = self._clock.monotonic(), self._rates.control
        if self._control_full_at <= now:
            self.overdrawn = 0
        self._control_full_at = bucket.after(self._control_full_at, now)
        wait = bucket.debt(self._control_full_at, now)
        if wait:
            self.overdrawn += 1
        return wait
