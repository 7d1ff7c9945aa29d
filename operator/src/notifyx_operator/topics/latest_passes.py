"""Which pass saw each resource last, so that the result of an earlier one is not written over it. Pure."""

from __future__ import annotations

from collections.abc import Collection


class LatestPasses:
    """The number of the latest pass over each resource, by UID. Passes are numbered in the order in which they ran."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def record(self, number: int, uids: Collection[str]) -> None:
        """Pass ``number`` saw these resources."""
        self._numbers |= dict.fromkeys(uids, number)

    def is_latest(self, number: int, uid: str) -> bool:
        """Whether no later pass than ``number`` saw this resource."""
        return self._numbers.get(uid) == number

    def retain(self, number: int, uids: Collection[str]) -> None:
        """Remove each resource that is not among ``uids``, which are all that there were at pass ``number``.

        What a later pass saw stays: it was created since, and its status may not have been written yet.
        """
        self._numbers = {uid: seen for uid, seen in self._numbers.items() if uid in uids or seen > number}
