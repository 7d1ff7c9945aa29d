"""How long the tests wait for what has to come: one patience for all, long enough for a machine that hardly moves.

A condition that holds ends its wait at once, so patience costs time only where a test fails. A shorter time is for
tests of that time itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE = 60.0
"""Seconds."""


async def until(holds: Callable[[], Any], what: str = "") -> Any:
    """Wait until ``holds`` returns something true (or an awaitable of it), and return that; fails with ``what``."""
    found: Any = None
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = holds()
                if isinstance(found, Awaitable):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"It did not come to this: {what}. Last seen: {found!r}") from None
