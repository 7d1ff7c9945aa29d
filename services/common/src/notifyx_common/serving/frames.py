"""Lets go of what an exception keeps once a request has been answered with it.

Its traceback holds the frames through which it came, and those the request, its body and its connection, all of which
hold the exception: a cycle for each refusal, which waits for the collector, and that comes after millions of objects.
"""

from __future__ import annotations


def release_frames(error: BaseException) -> None:
    """Take the frames from ``error``, and from those it was raised from or during."""
    found: list[BaseException | None] = [error]
    while found:
        one = found.pop()
        # What has none was released before, or was never raised: chains may be cycles.
        if one is not None and one.__traceback__ is not None:
            one.__traceback__ = None
            found += one.__cause__, one.__context__
            if isinstance(one, BaseExceptionGroup):
                found += one.exceptions
