"""Who is next when passwords wait for a thread. Pure.

Known devices and all others have a queue each, which are served in turn: so strangers, however many, cost a known
device one hash, and half of the threads. In each queue the owners (an address, an account) are served in turn, each
with what it queued first. A full queue takes from the owner with the most there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from notifyx_auth.base.errors import HashingBusy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is: an account that a device or a link has proved (``known``), or a client's address."""

    owner: str
    known: bool = False


OWN = Turn("", known=True)
"""The turn of what the service does for itself."""


class HashTurns(Generic[T]):
    """Those who wait; at most ``max_waiting`` in each of the two queues."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._queues: dict[bool, dict[str, deque[T]]] = {True: {}, False: {}}
        self._next = True

    def __len__(self) -> int:
        return self._waiting(True) + self._waiting(False)

    def push(self, turn: Turn, item: T) -> T | None:
        """Queue ``item``; return the item of another owner that had to make room for it.

        Raises :class:`HashingBusy` if there is no room, and no owner has more in the queue.
        """
        owners = self._queues[turn.known]
        evicted = None
        if self._waiting(turn.known) >= self._max_waiting:
            fullest = max(owners, key=lambda owner: len(owners[owner]), default=turn.owner)
            if len(owners.get(fullest, ())) <= len(owners.get(turn.owner, ())) + 1:
                raise HashingBusy("Too many sign-ins wait already. Try again in a moment.")
            evicted = owners[fullest].pop()
        owners.setdefault(turn.owner, deque()).append(item)
        return evicted

    def take(self) -> T | None:
        """Return whose turn it is."""
        for known in (self._next, not self._next):
            owners = self._queues[known]
            if owners:
                self._next = not known
                owner, items = next(iter(owners.items()))
                item = items.popleft()
                del owners[owner]
                if items:
                    owners[owner] = items  # the last one now
                return item
        return None

    def remove(self, turn: Turn, item: T) -> None:
        """Remove who does not wait any more; one that is not there is no error."""
        owners = self._queues[turn.known]
        items = owners.get(turn.owner)
        if items is not None and item in items:
            items.remove(item)
            if not items:
                del owners[turn.owner]

    def _waiting(self, known: bool) -> int:
        return sum(map(len, self._queues[known].values()))
