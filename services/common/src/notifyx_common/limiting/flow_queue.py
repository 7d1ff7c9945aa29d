"""Items of keys (addresses, accounts) in the order of flow queuing (RFC 8290), a flow being a key. Pure.

A key that had nothing waiting goes before those that had, and after its first turn it is one of them, however little it
needed. So the latency of who sends little does not depend on who sends much.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class FlowQueue(Generic[T]):
    """The items that wait. All methods are constant in time."""

    __slots__ = ("_active", "_new", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[str, OrderedDict[T, None]] = {}
        """The items of each key that has some, or had in its last turn."""
        self._new: OrderedDict[str, None] = OrderedDict()
        self._active: OrderedDict[str, None] = OrderedDict()
        """Keys whose first turn is to come, and the others, each in the order of their turns."""

    def __bool__(self) -> bool:
        """Return whether a key has, or had in its last turn, something waiting."""
        return bool(self._waiting)

    @property
    def keys(self) -> int:
        """The number of keys that have something waiting, or had in their last turn."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """The number of keys that have had a turn since they began to wait."""
        return len(self._active)

    def add(self, key: str, item: T) -> None:
        """Let ``item`` wait for a turn of ``key``; again is allowed."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._new[key] = None
            waiting = self._waiting[key] = OrderedDict()
        waiting[item] = None

    def discard(self, key: str, item: T) -> None:
        """Remove ``item``, if it waits."""
        if (waiting := self._waiting.get(key)) is not None:
            waiting.pop(item, None)

    def next(self) -> T | None:
        """Remove and return the item whose turn it is; ``None`` if none waits, and none had."""
        while keys := self._new or self._active:
            key, _ = keys.popitem(last=False)
            if waiting := self._waiting[key]:
                self._active[key] = None
                return waiting.popitem(last=False)[0]
            del self._waiting[key]
        return None
