"""Tracks probes from acceptance to receipt and derives the delivery condition. Pure.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from notifyx_operator.kube.conditions import Condition

Fault = Literal["lost", "duplicated", "reordered"]

FAULT_WINDOW = 300.0
"""How long a fault stays in the condition, in seconds."""

DELIVERY_TIMEOUT = 60.0
"""Time in which an accepted probe must be received, in seconds. It includes a gateway's end and a reconnection."""

MAX_STORED_SEQS = 1000
"""Maximum number of received seqs that are stored, to detect duplicates."""

_FAULT_MESSAGES: dict[Fault, str] = {
    "lost": "A probe that was accepted did not come within a minute.",
    "duplicated": "A probe came twice.",
    "reordered": "A probe came after a later one.",
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """A probe was received ``seconds`` after it was sent."""

    seconds: float


class ProbeRecord:
    """The probes that are pending, those received, and recent faults.

    ``silence``: seconds without a delivery that count as a failure.
    """

    def __init__(self, now: float, silence: float) -> None:
        self._silence = silence
        self.last_seq: int | None = None
        """The highest received seq; a new connection resumes from it."""
        self._pending: dict[int, float] = {}
        self._received: dict[int, float] = {}
        self._order: deque[int] = deque()
        self._faults: deque[tuple[float, Fault]] = deque(maxlen=MAX_STORED_SEQS)
        self._delivered = False
        self._healthy_at = now
        self._failure = ""

    def joined(self, last_seq: int) -> None:
        """Record a join; the topic's head is ``last_seq``."""
        if self.last_seq is None or last_seq < self.last_seq:
            # The topic was deleted and created again: its seqs start at 1.
            self._received.clear()
            self._order.clear()
            self.last_seq = last_seq

    def accepted(self, seq: int, sent_at: float) -> Delivered | None:
        """Record an accepted publish. Its notification may have been received before the answer."""
        received_at = self._received.get(seq)
        if received_at is None:
            self._pending[seq] = sent_at
            return None
        return self._record_delivery(sent_at, received_at)

    def received(self, seq: int, now: float) -> Delivered | Fault | None:
        """Record a received notification; return its delivery, a fault, or ``None`` until its publish is answered."""
        if seq in self._received:
            return self._record_fault("duplicated", now)
        self._received[seq] = now
        self._order.append(seq)
        if len(self._order) > MAX_STORED_SEQS:
            del self._received[self._order.popleft()]
        if self.last_seq is not None and seq <= self.last_seq:
            return self._record_fault("reordered", now)
        self.last_seq = seq
        sent_at = self._pending.pop(seq, None)
        return None if sent_at is None else self._record_delivery(sent_at, now)

    def expire(self, now: float) -> int:
        """Count accepted probes that are overdue as lost; return their number."""
        lost = [seq for seq, sent_at in self._pending.items() if now - sent_at > DELIVERY_TIMEOUT]
        for seq in lost:
            del self._pending[seq]
            self._record_fault("lost", now)
        return len(lost)

    def record_failure(self, reason: str) -> None:
        """Record why no probe gets through: a publish failed, or there is no connection."""
        self._failure = reason

    def condition(self, now: float) -> Condition:
        """Return ``DeliveryVerified``: whether accepted probes are delivered, in order and once."""
        faults = [fault for at, fault in self._faults if now - at <= FAULT_WINDOW]
        if faults:
            return Condition("DeliveryVerified", "False", faults[-1].capitalize(), _FAULT_MESSAGES[faults[-1]])
        if now - self._healthy_at > self._silence:
            reason = self._failure or "Nothing came of the probes."
            return Condition("DeliveryVerified", "False", "NotDelivered", f"No probe gets through: {reason}")
        if not self._delivered:
            return Condition("DeliveryVerified", "Unknown", "NotProbed", "The first probe is under way.")
        return Condition("DeliveryVerified", "True", "Delivered", "Probes are delivered, in order and once.")

    def _record_delivery(self, sent_at: float, received_at: float) -> Delivered:
        self._delivered, self._healthy_at, self._failure = True, max(self._healthy_at, received_at), ""
        return Delivered(max(received_at - sent_at, 0.0))

    def _record_fault(self, fault: Fault, now: float) -> Fault:
        self._faults.append((now, fault))
        return fault
