"""Which emails this node has sent lately: a bounded memory that makes a repeated request harmless. Pure."""

from __future__ import annotations

from collections import OrderedDict


class RecentIds:
    """The last ``count`` ids at most, each for ``seconds``. Times are given by the caller, and never go backwards."""

    def __init__(self, *, max_count: int, ttl: float) -> None:
        self._max_count = max_count
        self._ttl = ttl
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, key: str, now: float) -> None:
        """Remember ``key`` from ``now`` on."""
        self._until.pop(key, None)
        self._until[key] = now + self._ttl
        while self._until and (len(self._until) > self._max_count or next(iter(self._until.values())) <= now):
            self._until.popitem(last=False)

    def contains(self, key: str, now: float) -> bool:
        """Whether ``key`` was added within the last ``seconds``."""
        return self._until.get(key, now) > now

    def __len__(self) -> int:
        return len(self._until)
