"""A timeout that a late event loop does not use up, and a silent peer does."""

from __future__ import annotations

import asyncio
import socket

import pytest

from notifyx_common.running_timeout import RunningTimeout
from support.patience import PATIENCE


async def test_an_answer_that_came_while_the_loop_was_late_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        async with RunningTimeout(1):
            answer = asyncio.create_task(loop.sock_recv(here, 1))
            await asyncio.sleep(0)
            there.send(b"x")
            time = loop.time
            # The answer and the end of the time are there in the same round.
            monkeypatch.setattr(loop, "time", lambda: time() + 10)
            assert await answer == b"x"
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_who_gets_no_answer_waits_for_the_time_and_not_longer() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            async with RunningTimeout(0.05):
                await loop.create_future()
    assert loop.time() - began > 0.049


async def test_another_error_or_the_end_of_the_block_stops_the_clock() -> None:
    async with RunningTimeout(0.001) as limit:
        pass
    with pytest.raises(ValueError, match="mine"):
        async with RunningTimeout(0.001) as other:
            raise ValueError("mine")
    for one in (limit, other):
        assert one._timer is not None
        assert one._timer.cancelled()
