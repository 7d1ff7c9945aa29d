"""The end of a connection that is not read any more."""

from __future__ import annotations

import asyncio

from notifyx_gateway.socket.ending import Ending
from support.clock import LoopTime
from support.patience import until


async def test_it_closes_after_the_last_answer_has_been_sent() -> None:
    unanswered, done = 2, list[str]()
    ending = Ending(lambda: not unanswered, lambda: done.append("closed"), 3600)
    for number in (1, 2):
        unanswered -= 1
        ending.check()
        done.append(f"answer {number}")
        await asyncio.sleep(0)
    assert done == ["answer 1", "answer 2", "closed"]


async def test_it_closes_at_its_deadline_without_the_answers() -> None:
    time, closed = LoopTime(), list[float]()
    Ending(lambda: False, lambda: closed.append(time.ahead), 3600).check()
    await asyncio.sleep(0)
    assert not closed
    time.ahead = 3600
    await until(lambda: closed, "it is closed")
    assert closed == [3600]


async def test_one_that_is_cancelled_closes_nothing() -> None:
    time, closed = LoopTime(), list[str]()
    first, last = (Ending(lambda: False, lambda name=name: closed.append(name), 3600) for name in ("first", "last"))  # type: ignore[misc]
    first.cancel()
    time.ahead = 3600
    await until(lambda: closed, "the other one is closed")
    assert closed == ["last"]
    last.cancel()
