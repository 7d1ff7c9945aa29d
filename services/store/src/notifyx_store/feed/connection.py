"""The feed's connection to one gateway: a bounded queue of frames, each encoded once for all gateways."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from notifyx_common.contracts.store.feed import BETWEEN

JOINED_SIZE = 64 << 10
"""Characters of a joined frame: once it has as many, it is sent."""


class FeedConnection:
    """The queue of frames to one gateway.

    Above ``high_water`` no rows are queued (they stay in the log); above ``limit`` the connection is closed.
    Sizes are in characters, nearly all of which are one byte. ``drained`` is called once rows may be queued again.
    A gateway that accepts them gets what is queued ``joined``, in frames of about :data:`JOINED_SIZE`.
    """

    def __init__(
        self, high_water: int, limit: int, drained: Callable[[FeedConnection], None], *, joined: bool = False
    ) -> None:
        self.users: dict[str, None] = {}
        self.closed = asyncio.Event()
        self.reason = ""
        self._high_water = high_water
        self._limit = limit
        self._drained = drained
        self._joined_size = JOINED_SIZE if joined else 0
        self._frames: deque[str] = deque()
        self._size = 0
        self._held_back = False
        self._filled = asyncio.Event()

    def accepts_rows(self) -> bool:
        """Return whether rows may be queued. If not, ``drained`` is called as soon as they may be."""
        if self.closed.is_set():
            return False
        if self._size < self._high_water:
            return True
        self._held_back = True
        return False

    def put(self, frame: str) -> None:
        """Queue a frame. A queue above its limit closes the connection."""
        if self.closed.is_set():
            return
        self._frames.append(frame)
        self._size += len(frame)
        self._filled.set()
        if self._size > self._limit:
            self.close("the gateway reads its frames too slowly")

    async def get(self) -> str:
        """Wait for the next frame and return it, joined with those that follow if the gateway accepts that."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        frame = self._frames.popleft()
        size = len(frame)
        if self._frames and size < self._joined_size:
            parts = [frame]
            while self._frames and size < self._joined_size:
                parts.append(self._frames.popleft())
                size += len(parts[-1])
            frame = BETWEEN.join(parts)
        self._size -= size
        if self._held_back and self._size < self._high_water // 2:
            self._held_back = False
            self._drained(self)
        return frame

    def close(self, reason: str) -> None:
        """Close the connection and drop its queue; the gateway resumes from its cursors."""
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()
            self._frames.clear()
            self._size = 0
