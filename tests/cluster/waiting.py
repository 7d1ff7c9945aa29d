"""Waiting for a condition, with a deadline and a sentence for when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TimedOut(AssertionError):
    """What was waited for did not come; the message says what it was, and what was there instead."""


def wait_for(what: str, look: Callable[[], T], *, deadline: float = 60.0, pause: float = 0.1) -> T:
    """The first true value of ``look``, asked every ``pause`` seconds for at most ``deadline`` seconds.

    Raises :class:`TimedOut` with the last value. An :class:`OSError` or :class:`CommandFailed` of ``look`` counts as
    "not yet": things that are only starting refuse connections.
    """
    until = time.monotonic() + deadline
    last: object = None
    while True:
        try:
            found = look()
        except (OSError, CommandFailed) as error:
            last = error
        else:
            if found:
                return found
            last = found
        if time.monotonic() > until:
            raise TimedOut(f"not within {deadline:g} s: {what} (last: {last})")
        time.sleep(pause)


class CommandFailed(Exception):
    """A command ended with an error; the message is the command and the last lines of what it said."""
