"""The books of the prober: what was accepted and what came of it, and what that says of delivery. Pure.

Moments are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from notifyx_operator.kube.conditions import Condition

Fault = Literal["lost", "duplicated", "reordered"]

WINDOW = 300.0
"""Seconds for which one fault is told."""

PATIENCE = 60.0
"""Seconds in which what was accepted has to come, gateways that die and clients that reconnect included."""

KEPT = 1000
"""Newest seqs of which it is remembered that they came."""

_SAID: dict[Fault, str] = {
    "lost": "A probe that was accepted did not come within a minute.",
    "duplicated": "A probe came twice.",
    "reordered": "A probe came after a later one.",
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """A probe came, so many ``seconds`` after it was sent."""

    seconds: float


class Book:
    """What is under way, what came lately, and what went wrong.

    ``silence``: seconds for which nothing may come, before that is a failure.
    """

    def __init__(self, now: float, silence: float) -> None:
        self._silence = silence
        self.last_seq: int | None = None
        """The highest seq that came; what a new connection asks for what follows."""
        self._waiting: dict[int, float] = {}
        self._came: dict[int, float] = {}
        self._order: deque[int] = deque()
        self._faults: deque[tuple[float, Fault]] = deque(maxlen=KEPT)
        self._delivered = False
        self._well_at = now
        self._trouble = ""

    def joined(self, last_seq: int) -> None:
        """A connection begins, and the topic ends at ``last_seq``."""
        if self.last_seq is None or last_seq < self.last_seq:
            # The topic is another one than before, and its numbers begin anew.
            self._came.clear()
            self._order.clear()
            self.last_seq = last_seq

    def accepted(self, seq: int, sent_at: float) -> Delivered | None:
        """A publish was answered; it may have come before its answer."""
        came = self._came.get(seq)
        if came is None:
            self._waiting[seq] = sent_at
            return None
        return self._good(sent_at, came)

    def received(self, seq: int, now: float) -> Delivered | Fault | None:
        """A notification came: a probe of ours, a fault, or ``None`` (one whose publish is not answered yet)."""
        if seq in self._came:
            return self._wrong("duplicated", now)
        self._came[seq] = now
        self._order.append(seq)
        if len(self._order) > KEPT:
            del self._came[self._order.popleft()]
        if self.last_seq is not None and seq <= self.last_seq:
            return self._wrong("reordered", now)
        self.last_seq = seq
        sent_at = self._waiting.pop(seq, None)
        return None if sent_at is None else self._good(sent_at, now)

    def overdue(self, now: float) -> int:
        """How many accepted probes are given up now."""
        lost = [seq for seq, sent_at in self._waiting.items() if now - sent_at > PATIENCE]
        for seq in lost:
            del self._waiting[seq]
            self._wrong("lost", now)
        return len(lost)

    def trouble(self, reason: str) -> None:
        """Something did not work: nothing was accepted, or there is no connection."""
        self._trouble = reason

    def condition(self, now: float) -> Condition:
        """``DeliveryVerified``: whether what is accepted is delivered, in order and once."""
        faults = [fault for at, fault in self._faults if now - at <= WINDOW]
        if faults:
            return Condition("DeliveryVerified", "False", faults[-1].capitalize(), _SAID[faults[-1]])
        if now - self._well_at > self._silence:
            reason = self._trouble or "Nothing came of the probes."
            return Condition("DeliveryVerified", "False", "NotDelivered", f"No probe gets through: {reason}")
        if not self._delivered:
            return Condition("DeliveryVerified", "Unknown", "NotProbed", "The first probe is under way.")
        return Condition("DeliveryVerified", "True", "Delivered", "Probes are delivered, in order and once.")

    def _good(self, sent_at: float, came: float) -> Delivered:
        self._delivered, self._well_at, self._trouble = True, max(self._well_at, came), ""
        return Delivered(max(came - sent_at, 0.0))

    def _wrong(self, fault: Fault, now: float) -> Fault:
        self._faults.append((now, fault))
        return fault
