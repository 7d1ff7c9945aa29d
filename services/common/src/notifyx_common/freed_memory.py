"""Returns freed memory to the system.

glibc keeps what was freed for the next allocation: after a few sign-ins at a time, a hash's memory for each thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

M_ARENA_MAX = -8
"""The option of ``mallopt`` for the number of arenas (malloc.h)."""


def trimmer() -> Callable[[], None] | None:
    """Return a function that returns the freed memory of threads that are not started yet to the system.

    ``None`` where the C library has none for it. Threads share one arena then: of others, glibc returns less.
    """
    libc = ctypes.CDLL(None)
    trim = getattr(libc, "malloc_trim", None)
    if trim is None:
        return None
    trim.argtypes = [ctypes.c_size_t]
    libc.mallopt(M_ARENA_MAX, 1)
    return lambda: trim(0)
