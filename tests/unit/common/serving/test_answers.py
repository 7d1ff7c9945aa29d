"""The memory of large answers: shares, turns, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from notifyx_common.errors import TooManyRequests, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.serving.answers import MAX_WAITING, Answer, AnswerBudget, AnswerLimits

LIMITS = AnswerLimits(answer_bytes=100, answer_bytes_each=40, answer_wait=0.05)
PATIENT = AnswerLimits(answer_bytes=100, answer_bytes_each=40, answer_wait=30)


async def held(budget: AnswerBudget, key: str, size: int) -> Answer:
    answer = Answer(budget)
    await answer.reserve(key, size)
    return answer


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_key_gets_no_more_than_its_share() -> None:
    budget = AnswerBudget(LIMITS, Metrics())
    first = await held(budget, "ann", 40)
    with pytest.raises(TooManyRequests) as refused:
        await held(budget, "ann", 1)
    assert refused.value.retry_after == LIMITS.answer_wait
    await held(budget, "bob", 40)
    first.release()
    await held(budget, "ann", 20)
    assert budget.used == 60


async def test_all_keys_get_no_more_than_there_is() -> None:
    budget = AnswerBudget(LIMITS, Metrics())
    for key in ("ann", "bob", "cyd"):
        await held(budget, key, 30)
    with pytest.raises(Unavailable):
        await held(budget, "dan", 20)
    with pytest.raises(Unavailable):
        await held(budget, "", 20)


async def test_an_answer_that_turns_out_small_makes_room() -> None:
    budget = AnswerBudget(PATIENT, Metrics())
    large = await held(budget, "", 90)
    waiting = asyncio.create_task(held(budget, "ann", 40))
    await settled()
    assert not waiting.done()
    large.shrink(60)
    await waiting
    assert budget.used == 100
    large.shrink(80)
    assert budget.used == 100, "it only gives back"
    large.release()
    large.release()
    assert budget.used == 40


async def test_one_answer_may_be_larger_than_the_share() -> None:
    budget = AnswerBudget(LIMITS, Metrics())
    await held(budget, "ann", 41)


async def test_those_that_wait_are_served_in_turn_by_key() -> None:
    budget = AnswerBudget(PATIENT, Metrics())
    everything = await held(budget, "", 100)
    order: list[str] = []

    async def wait(key: str) -> None:
        answer = await held(budget, key, 40)
        order.append(key)
        await settled()
        answer.release()

    tasks = [asyncio.create_task(wait(key)) for key in ("ann", "ann", "ann", "bob", "bob", "cyd")]
    await settled()
    everything.release()
    await asyncio.gather(*tasks)
    assert sorted(order[:3]) == ["ann", "bob", "cyd"]
    assert budget.used == 0


async def test_who_waits_no_more_takes_nothing() -> None:
    budget = AnswerBudget(PATIENT, Metrics())
    everything = await held(budget, "", 100)
    waiting = [asyncio.create_task(held(budget, "ann", 10)) for _ in range(3)]
    await settled()
    waiting[0].cancel()
    await settled()
    everything.release()
    waiting[1].cancel()  # in the turn in which it was served
    await asyncio.gather(*waiting, return_exceptions=True)
    assert budget.used == 10


async def test_few_requests_of_one_key_wait() -> None:
    budget = AnswerBudget(PATIENT, Metrics())
    everything = await held(budget, "", 100)
    waiting = [asyncio.create_task(held(budget, "ann", 10)) for _ in range(MAX_WAITING)]
    await settled()
    with pytest.raises(Unavailable):
        await held(budget, "ann", 10)
    other = asyncio.create_task(held(budget, "bob", 10))
    await settled()
    everything.release()
    await other
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
