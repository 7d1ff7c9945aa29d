"""Turns of keys that share a number of places."""

from __future__ import annotations

import asyncio

from notifyx_common.limiting.turns import SharedTurns


async def test_keys_that_wait_are_served_in_turn_and_each_in_order() -> None:
    turns, served = SharedTurns(2), list[str]()

    async def work(key: str, number: int) -> None:
        async with turns.turn(key):
            served.append(f"{key}{number}")
            await asyncio.sleep(0)

    async with turns.turn("x"), turns.turn("x"):
        works = [asyncio.create_task(work("a", number)) for number in range(4)]
        works += [asyncio.create_task(work(key, 0)) for key in "bc"]
        works.append(asyncio.create_task(work("b", 1)))
        await asyncio.sleep(0)
        assert served == []
    await asyncio.gather(*works)
    assert served == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


async def test_who_gives_up_passes_its_turn_on() -> None:
    turns, served = SharedTurns(1), list[str]()

    async def work(key: str) -> None:
        async with turns.turn(key):
            served.append(key)

    async with turns.turn("x"):
        waits, gives_up, late = (asyncio.create_task(work(key)) for key in ("a", "b", "c"))
        await asyncio.sleep(0)
        gives_up.cancel()
        await asyncio.sleep(0)
    late_one = late
    waits.cancel()  # it was granted just now
    await asyncio.gather(waits, gives_up, late_one, return_exceptions=True)
    assert served == ["c"]
    async with turns.turn("x"):
        pass


async def test_who_used_least_goes_first_and_no_key_takes_all_places() -> None:
    now = 0.0
    turns, served = SharedTurns(2, each=1, clock=lambda: now), list[str]()
    ending = {key: asyncio.Event() for key in ("a", "b", "c", "quick")}

    async def work(key: str, seconds: float) -> None:
        nonlocal now
        async with turns.turn(key):
            served.append(key)
            await ending[key].wait()
            now += seconds

    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    works = [asyncio.create_task(work(key, 1.0)) for key in "aaabbc"]
    await settle()
    assert served == ["a", "b"], "one of each key"
    works.append(asyncio.create_task(work("quick", 0.0)))
    await settle()
    ending["b"].set()
    await settle()
    assert served[2:] == ["c"], "who has used nothing, in order; a waits for itself"
    ending["c"].set()
    await settle()
    assert served[3:] == ["quick"], "before the second one of b"
    for event in ending.values():
        event.set()
    await asyncio.gather(*works)
