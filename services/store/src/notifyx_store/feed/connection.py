"""One gateway's end of the feed: a bounded queue of frames that are made once and shared among gateways."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class FeedConnection:
    """What waits to be sent to one gateway.

    Above ``high_water`` no rows are queued (they stay in the log); above ``limit`` the connection is given up.
    Sizes are in characters, which are bytes for nearly all of it.
    """

    def __init__(self, high_water: int, limit: int, drained: Callable[[FeedConnection], None]) -> None:
        self.users: set[str] = set()
        self.closed = asyncio.Event()
        self.reason = ""
        self._high_water = high_water
        self._limit = limit
        self._drained = drained
        self._frames: deque[str] = deque()
        self._size = 0
        self._held_back = False
        self._filled = asyncio.Event()

    def accepts_rows(self) -> bool:
        """Whether rows may be queued; when they may not, the hub is told as soon as they may again."""
        if self.closed.is_set():
            return False
        if self._size < self._high_water:
            return True
        self._held_back = True
        return False

    def put(self, frame: str) -> None:
        """Queue a frame; a queue that gets too long closes the connection."""
        if self.closed.is_set():
            return
        self._frames.append(frame)
        self._size += len(frame)
        self._filled.set()
        if self._size > self._limit:
            self.close("the gateway takes its frames too slowly")

    async def get(self) -> str:
        """The next frame, when there is one."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        frame = self._frames.popleft()
        self._size -= len(frame)
        if self._held_back and self._size < self._high_water // 2:
            self._held_back = False
            self._drained(self)
        return frame

    def close(self, reason: str) -> None:
        """Give the connection up; the gateway resumes from its cursors."""
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()
            self._frames.clear()
            self._size = 0
