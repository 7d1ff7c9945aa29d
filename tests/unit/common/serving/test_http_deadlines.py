"""What a client has to do next, and by when."""

from __future__ import annotations

import asyncio

from notifyx_common.serving.http_deadlines import Deadlines
from notifyx_common.serving.http_limits import HttpLimits
from support.clock import LoopTime
from support.patience import PATIENCE

HEAD = 10 * PATIENCE
"""Longer than any machine takes for a step of these tests."""


async def test_the_time_stands_still_while_the_server_is_late() -> None:
    time, passed = LoopTime(), asyncio.Event()
    deadlines = Deadlines(HttpLimits(head_timeout=HEAD), passed.set)
    deadlines.head()
    held = deadlines.hold()
    time.ahead += 3 * HEAD
    await asyncio.sleep(0.01)
    assert not passed.is_set(), "it waits for its turn"
    deadlines.go_on(held)
    deadlines.head()
    time.ahead += HEAD / 2
    await asyncio.sleep(0.01)
    assert not passed.is_set(), "what was left is left"
    time.ahead += HEAD
    await asyncio.wait_for(passed.wait(), PATIENCE)


async def test_what_is_expected_meanwhile_counts() -> None:
    time, passed = LoopTime(), asyncio.Event()
    deadlines = Deadlines(HttpLimits(head_timeout=HEAD), passed.set)
    deadlines.head()
    held = deadlines.hold()
    deadlines.within(HEAD * 4)
    deadlines.go_on(held)
    time.ahead += HEAD * 2
    await asyncio.sleep(0.01)
    assert not passed.is_set()
    time.ahead += HEAD * 3
    await asyncio.wait_for(passed.wait(), PATIENCE)
    deadlines.stop()
