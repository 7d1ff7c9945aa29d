"""Returns the memory that a burst of topics has used and freed."""

from __future__ import annotations

import gc

from notifyx_common.freed_memory import trimmer

IDLE_INTERVAL = 60.0
"""Seconds between two returns: a collection of an operator with 5,000 topics takes some 10 ms."""


class FreedMemory:
    """Frees what only cycles hold, and returns what is free to the system.

    Neither happens by itself at rest: the collector waits for as many new objects as a burst makes, and glibc keeps
    what was freed for the next allocation.
    """

    def __init__(self) -> None:
        self._trim = trimmer()

    async def give_back(self) -> None:
        """Collect, and trim where the C library can."""
        gc.collect()
        if self._trim is not None:
            self._trim()
