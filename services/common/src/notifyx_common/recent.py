"""The events of the last seconds by key, for those who begin to watch after them. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Recent(Generic[K, V]):
    """The values noted for each key, until none came for ``seconds``; of more than ``max_keys`` keys, the newest."""

    def __init__(self, seconds: float, max_keys: int) -> None:
        self._seconds = seconds
        self._max_keys = max_keys
        self._entries: dict[K, tuple[float, set[V]]] = {}
        """In the order of their times."""

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, key: K, value: V, now: float) -> None:
        """Note ``value`` for ``key`` at ``now``, in monotonic seconds."""
        at, values = self._entries.pop(key, (now, set()))
        if at < now - self._seconds:
            values = set()
        values.add(value)
        self._entries[key] = now, values
        self._evict(now)

    def of(self, key: K, now: float) -> frozenset[V]:
        """Return the values of ``key``."""
        self._evict(now)
        entry = self._entries.get(key)
        return frozenset() if entry is None else frozenset(entry[1])

    def since(self, key: K, at: float) -> bool:
        """Return whether something was noted for ``key`` at ``at`` or later."""
        entry = self._entries.get(key)
        return entry is not None and entry[0] >= at

    def _evict(self, now: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries))
            if self._entries[oldest][0] >= now - self._seconds and len(self._entries) <= self._max_keys:
                return
            del self._entries[oldest]
