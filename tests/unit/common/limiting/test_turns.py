"""Turns of keys that share a number of places."""

from __future__ import annotations

import asyncio

from notifyx_common.limiting.turns import LONG, PATIENCE, RESTS, SharedTurns
from support import patience


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


async def test_who_used_the_most_has_one_turn_and_rests_while_others_are_at_work() -> None:
    now = 0.0
    turns, begun, ending = SharedTurns(4, each=3, clock=lambda: now), list[str](), asyncio.Semaphore(0)

    async def work(key: str, seconds: float) -> None:
        nonlocal now
        async with turns.turn(key):
            begun.append(key)
            await ending.acquire()
            now += seconds

    async def settle() -> list[str]:
        for _ in range(5):
            await asyncio.sleep(0)
        took = begun[:]
        begun.clear()
        return took

    async def quick() -> list[str]:
        """Let a short work of another begin and end; return what else began."""
        one = asyncio.create_task(work("quick", 0.0))
        began = await settle()
        ending.release()
        await one
        return [key for key in began + await settle() if key != "quick"]

    first = asyncio.create_task(work("slow", 1.5))
    await settle()
    ending.release()
    await first
    begun.clear()
    works = [asyncio.create_task(work("slow", 0.05)) for _ in range(7)]
    assert await settle() == ["slow"] * 3, "nobody else is at work"
    ending.release()
    assert await settle() == ["slow"]
    turns.note("other")  # publishes, which takes no turn
    ending.release()
    assert await settle() == [], "two run, and others are at work"
    ending.release()
    ending.release()
    assert await settle() == []
    rest = RESTS * 0.15  # the last one began when the first one of the three had ended
    now += rest - 0.01
    assert await quick() == [], "it rests for longer than its work took"
    now += 0.02
    assert await quick() == ["slow"], "one alone"
    ending.release()
    assert await settle() == []
    now += PATIENCE  # those that are left have waited for long
    assert await quick() == ["slow", "slow"]
    for _ in works:
        ending.release()
    await asyncio.gather(*works)


async def test_works_that_are_short_alone_and_long_together_rest_too() -> None:
    now = 0.0
    turns = SharedTurns(2, clock=lambda: now)

    async def work(seconds: float) -> None:
        nonlocal now
        turns.note("other")
        async with turns.turn("slow"):
            now += seconds

    await work(1.5)
    now += RESTS * 1.5
    begun = [asyncio.create_task(work(0.4 * LONG)) for _ in range(4)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert [one.done() for one in begun] == [True, True, True, False], "three are long together"
    now += RESTS * 1.2 * LONG
    async with turns.turn("other"):
        pass
    await asyncio.wait_for(asyncio.gather(*begun), patience.PATIENCE)


async def test_a_rest_ends_by_itself() -> None:
    now, ends = 0.0, asyncio.Event()
    turns = SharedTurns(2, clock=lambda: now)
    turns.note("other")
    async with turns.turn("slow"):
        now += 1.5

    async def again() -> None:
        async with turns.turn("slow"):
            ends.set()

    turns.note("other")
    waiting = asyncio.create_task(again())
    await asyncio.sleep(0)
    assert not ends.is_set()
    now += 2.999  # the clock of the event loop is another one: a moment is left there
    turns.note("other")
    async with turns.turn("other"):
        now += 0.002
    await asyncio.wait_for(waiting, patience.PATIENCE)
