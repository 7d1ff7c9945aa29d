"""Ids of recently sent emails, so that a repeated request is recognised. Pure."""

from __future__ import annotations

from collections import OrderedDict


class RecentIds:
    """Up to ``max_count`` ids, each stored for ``ttl`` seconds. The caller passes the time, which never decreases."""

    def __init__(self, *, max_count: int, ttl: float) -> None:
        self._max_count = max_count
        self._ttl = ttl
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, key: str, now: float) -> None:
        """Store ``key`` at ``now``, and evict the oldest ids beyond the limits."""
        self._until.pop(key, None)
        self._until[key] = now + self._ttl
        while self._until and (len(self._until) > self._max_count or next(iter(self._until.values())) <= now):
            self._until.popitem(last=False)

    def contains(self, key: str, now: float) -> bool:
        """Return whether ``key`` was added within the last ``ttl`` seconds."""
        return self._until.get(key, now) > now

    def __len__(self) -> int:
        return len(self._until)
