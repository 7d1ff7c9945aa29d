"""What became of the items of one request: one future for all of them, where each would have one with callbacks."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from notifyx_common.errors import NotifyxError

R = TypeVar("R")


class Outcomes(Generic[R]):
    """The results and errors of ``count`` items, in their order."""

    def __init__(self, count: int) -> None:
        self._found: list[R | NotifyxError | None] = [None] * count
        self._left = count
        self._all: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def put(self, position: int, outcome: R | NotifyxError) -> None:
        """Note what became of an item, once."""
        self._found[position] = outcome
        self._left -= 1
        if not self._left and not self._all.done():
            self._all.set_result(None)

    def waiter(self, position: int) -> ItemWaiter[R]:
        """Return who waits for an item."""
        return ItemWaiter(self, position)

    def is_done(self, position: int) -> bool:
        """Return whether nobody waits for an item any more."""
        return self._found[position] is not None or self._all.cancelled()

    async def all(self) -> list[R | NotifyxError]:
        """Wait for all items; return what became of each."""
        if self._left:
            await self._all
        return [one for one in self._found if one is not None]


class ItemWaiter(Generic[R]):
    """Waits for one item of :class:`Outcomes`."""

    __slots__ = ("_of", "_position")

    def __init__(self, of: Outcomes[R], position: int) -> None:
        self._of = of
        self._position = position

    def done(self) -> bool:
        """Return whether the item is answered, or nobody waits for it any more."""
        return self._of.is_done(self._position)

    def set_result(self, result: R) -> None:
        self._of.put(self._position, result)

    def set_exception(self, exception: NotifyxError) -> None:
        self._of.put(self._position, exception)
