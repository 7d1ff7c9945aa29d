"""A bounded queue that serves its owners in turn, so that one account's flood does not make others wait. Pure.

Each owner has a queue of its own, in order. A batch takes from the owners in turn, from each at most its share, and
nothing more is taken from them until it is done. So another batch can be in flight meanwhile, and holds the items of
others alone. What an owner may queue is bounded, and so is what all queue together: once that is full, the newest item
of the owner with the longest queue makes room for an owner with less.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from notifyx_common.errors import TooManyRequests

RETRY_AFTER = 1.0
"""Seconds after which a client that was refused may try again."""


class Queued(Protocol):
    """What may be queued: its size is that of its data, and it counts as ``weight`` items in a batch."""

    @property
    def data(self) -> bytes: ...

    @property
    def weight(self) -> int: ...


T = TypeVar("T", bound=Queued)


class _Backlog(Generic[T]):
    """What one owner has queued."""

    __slots__ = ("bytes", "items")

    def __init__(self) -> None:
        self.items: deque[T] = deque()
        self.bytes = 0


class FairQueue(Generic[T]):
    """Items of many owners. One owner may fill the part ``owner_share`` of ``max_items`` and of ``max_bytes``."""

    def __init__(self, *, max_items: int, max_bytes: int, owner_share: float) -> None:
        self.max_items = max_items
        self._max_bytes = max_bytes
        self._owner_items = max(1, int(max_items * owner_share))
        self._owner_bytes = int(max_bytes * owner_share)
        self._backlogs: dict[str, _Backlog[T]] = {}
        self._turns: deque[str] = deque()
        self._held: set[str] = set()
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def owners(self) -> int:
        """Return how many owners have something queued that may be taken now."""
        return len(self._turns)

    def has_room(self, owner: str) -> bool:
        """Return whether ``owner`` uses no more than half of what it may."""
        backlog = self._backlogs.get(owner)
        return backlog is None or (
            len(backlog.items) <= self._owner_items // 2 and backlog.bytes <= self._owner_bytes // 2
        )

    def push(self, owner: str, item: T) -> T | None:
        """Queue ``item``; return the item of another owner that made room for it, if one had to.

        Raises :class:`TooManyRequests` if the owner's queue is full, or all queues are and no owner's is longer.
        """
        size = len(item.data)
        backlog = self._backlogs.get(owner)
        queued = len(backlog.items) if backlog is not None else 0
        if queued and (queued >= self._owner_items or self._backlogs[owner].bytes + size > self._owner_bytes):
            raise TooManyRequests(
                "This account has more requests waiting than the gateway takes; try again soon.",
                retry_after=RETRY_AFTER,
            )
        evicted: T | None = None
        if self._count >= self.max_items or (self._count and self._bytes + size > self._max_bytes):
            evicted = self._evict(queued)
        if backlog is None:
            backlog = self._backlogs[owner] = _Backlog()
            if owner not in self._held:
                self._turns.append(owner)
        backlog.items.append(item)
        backlog.bytes += size
        self._count += 1
        self._bytes += size
        return evicted

    def take(
        self, max_items: int, max_bytes: int, share: int, wanted: Callable[[T], bool]
    ) -> tuple[list[T], list[str]]:
        """Take a batch: from each owner in turn at most ``share`` items and its part of ``max_bytes``.

        Return it with its owners, from which nothing more is taken until :meth:`release`. Items count by their weight.
        Those that are not ``wanted`` any more are dropped. The batch has at least one item, if one is wanted.
        """
        batch: list[T] = []
        taken_from: list[str] = []
        size = weight = 0
        owners = len(self._turns)
        owner_bytes = max_bytes // max(1, owners)
        for _ in range(owners):
            owner = self._turns[0]
            backlog = self._backlogs[owner]
            taken = taken_bytes = 0
            while backlog.items and taken < share and weight < max_items:
                heavy, length = backlog.items[0].weight, len(backlog.items[0].data)
                if batch and (size + length > max_bytes or weight + heavy > max_items):
                    break
                if taken and (taken_bytes + length > owner_bytes or taken + heavy > share):
                    break
                item = backlog.items.popleft()
                backlog.bytes -= length
                self._count -= 1
                self._bytes -= length
                if wanted(item):
                    batch.append(item)
                    size += length
                    weight += heavy
                    taken += heavy
                    taken_bytes += length
            if backlog.items and not taken:
                break  # no room for its next item: this owner is the first of the next batch
            self._turns.popleft()
            self._held.add(owner)
            taken_from.append(owner)
            if not backlog.items:
                del self._backlogs[owner]
        return batch, taken_from

    def release(self, owners: Iterable[str]) -> None:
        """Let the next items of ``owners`` be taken, after those of the owners that wait already."""
        for owner in owners:
            self._held.discard(owner)
            if owner in self._backlogs:
                self._turns.append(owner)

    def _evict(self, queued: int) -> T:
        """Remove and return the newest item of the longest queue, which is longer than ``queued`` items."""
        owner = max(self._backlogs, key=lambda name: len(self._backlogs[name].items))
        fullest = self._backlogs[owner]
        if len(fullest.items) <= queued + 1:
            raise TooManyRequests(
                "The gateway has more of these requests waiting than it takes; try again soon.", retry_after=RETRY_AFTER
            )
        item = fullest.items.pop()
        fullest.bytes -= len(item.data)
        self._count -= 1
        self._bytes -= len(item.data)
        return item


class Crowd:
    """Whether several owners are at work: then batches are short, so that nobody waits long for another's batch."""

    __slots__ = ("_owner", "_until")

    MEMORY = 2.0
    """Seconds for which an owner is recorded."""

    def __init__(self) -> None:
        self._owner: str | None = None
        self._until = float("-inf")

    def note(self, owner: str, now: float) -> None:
        """Note that ``owner`` has queued something at ``now`` (monotonic seconds)."""
        if owner != self._owner:
            if self._owner is not None:
                self._until = now + self.MEMORY
            self._owner = owner

    def shared(self, now: float) -> bool:
        """Return whether more than one owner has queued something lately."""
        return now < self._until
