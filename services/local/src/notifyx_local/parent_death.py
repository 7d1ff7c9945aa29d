"""The parent-death signal: a process ends with the one that started it, even if that is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals, parent: int) -> Callable[[], None] | None:
    """Return a function for a child to call so that it gets the signal ``number`` when ``parent`` ends.

    ``None`` if the system has no parent-death signal.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # the parent ended before prctl
            os._exit(1)

    return prepare
