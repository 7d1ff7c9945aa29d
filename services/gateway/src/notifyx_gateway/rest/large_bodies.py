"""Reads large bodies beside the event loop: what one of them takes, everybody else would wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LARGE = 32 << 10
"""Size from which on a body is read in a thread, in bytes; the hand-over costs a quarter of a millisecond."""


class LargeBodies:
    """One large body at a time: several threads would take the interpreter from the event loop for longer each."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def read(self, body: bytes, reader: Callable[[], T]) -> T:
        """Return what ``reader`` makes of ``body``; it may raise, and uses nothing that the event loop changes."""
        if len(body) < LARGE:
            return reader()
        async with self._turn:
            return await asyncio.to_thread(reader)
