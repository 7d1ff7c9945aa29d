"""How much of each account's connections is unanswered, so that all of them together are paced like one. Pure.

What accounts have queued at the store over sockets stays below what the queue takes (``upstream.fair_queue``): a
publisher that pipelines, over however many sockets and beside however many others, is slowed down and never refused.
The bound of an account is a part of what all accounts leave free (dynamic thresholds, Choudhury and Hahne 1998).
"""

from __future__ import annotations

from typing import Protocol
from weakref import WeakValueDictionary


class Paced(Protocol):
    """A client that can be paused."""

    def pace(self) -> None:
        """Pause or go on, whichever is due now."""
        ...


class Flow:
    """The unanswered requests of one account's clients."""

    __slots__ = ("__weakref__", "_all", "_bytes", "_items", "_waiting", "full")

    def __init__(self, flows: Flows) -> None:
        self._all = flows
        self._items = self._bytes = 0
        self._waiting: dict[Paced, None] = {}
        self.full = False
        """Whether nothing more is accepted, until half of it is answered."""

    def begin(self, items: int, size: int) -> None:
        """Count a request."""
        self._items += items
        self._bytes += size
        self._all.count(items, size)
        if self._items >= self._all.items_each() or self._bytes >= self._all.bytes_each():
            self.full = True

    def end(self, items: int, size: int) -> None:
        """Count it as answered."""
        self._items -= items
        self._bytes -= size
        self._all.count(-items, -size)
        if self.full and self._items <= self._all.items_each() / 2 and self._bytes <= self._all.bytes_each() / 2:
            self.full = False
            waiting, self._waiting = self._waiting, {}
            for client in waiting:
                client.pace()

    def wait(self, client: Paced) -> None:
        """Let ``client`` pace itself once there is room."""
        self._waiting[client] = None

    def leave(self, client: Paced) -> None:
        """Remove a client that is closed."""
        self._waiting.pop(client, None)


class Flows:
    """The flows of all accounts with a client."""

    def __init__(self, *, max_items: int, max_bytes: int, share: float) -> None:
        """The bounds are those of all accounts; each gets the part ``share`` of what is free."""
        self._max_items, self._max_bytes, self._share = max_items, max_bytes, share
        self._items = self._bytes = 0
        self._of: WeakValueDictionary[str, Flow] = WeakValueDictionary()

    def of(self, owner: str) -> Flow:
        """Return the flow of an account."""
        flow = self._of.get(owner)
        if flow is None:
            flow = self._of[owner] = Flow(self)
        return flow

    def count(self, items: int, size: int) -> None:
        """Count what a flow adds or, negative, has no more."""
        self._items += items
        self._bytes += size

    def items_each(self) -> float:
        """Return how many requests one account may have unanswered at present."""
        return self._share * max(0, self._max_items - self._items)

    def bytes_each(self) -> float:
        """Return how many bytes of requests one account may have unanswered at present."""
        return self._share * max(0, self._max_bytes - self._bytes)
