"""``scatter`` itself: time-outs, reassignment, late answers, deadlines."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.scatter import NotExecuted, TaskResult, scatter
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics

NODES = [Endpoint(f"n{number}", f"http://n{number}") for number in range(3)]


def outcomes_of(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("notifyx_tasks_total", {"kind": "test", "outcome": outcome}) or 0.0


async def test_work_is_shared_and_answers_keep_the_order_of_the_tasks() -> None:
    share: Counter[str] = Counter()
    told: list[int] = []

    async def double(endpoint: Endpoint, tasks: list[int]) -> list[int]:
        share[endpoint.instance] += len(tasks)
        await asyncio.sleep(0)
        return [task * 2 for task in tasks]

    metrics = Metrics()
    results = await scatter(
        range(300), lambda: NODES, double, kind="test", metrics=metrics, timeout=5, deadline=10, chunk=10,
        settled=lambda fresh: told.extend(position for position, _ in fresh),
    )  # fmt: skip
    assert [outcome.value for outcome in results] == [task * 2 for task in range(300)]
    assert min(share[node.instance] for node in NODES) >= 50
    assert sorted(told) == list(range(300))
    assert outcomes_of(metrics, "done") == 300


async def test_a_hung_node_is_timed_out_and_its_tasks_are_done_elsewhere_once() -> None:
    done: Counter[int] = Counter()

    async def send(endpoint: Endpoint, tasks: list[int]) -> list[str]:
        if endpoint.instance == "n1":
            await asyncio.Event().wait()
        done.update(tasks)
        return [endpoint.instance for _ in tasks]

    metrics = Metrics()
    results = await scatter(
        range(60), lambda: NODES, send, kind="test", metrics=metrics, timeout=0.1, deadline=10, chunk=5
    )
    assert {outcome.value for outcome in results} == {"n0", "n2"}
    assert set(done.values()) == {1}
    assert sorted(done) == list(range(60))
    assert outcomes_of(metrics, "timed_out") == outcomes_of(metrics, "reassigned") == 10
    assert any(outcome.attempts == 2 for outcome in results)


async def test_what_a_node_did_not_carry_out_goes_elsewhere_and_keeps_its_last_reason() -> None:
    async def send(endpoint: Endpoint, tasks: list[int]) -> list[str | NotExecuted]:
        return [NotExecuted("odd") if task == 3 else endpoint.instance for task in tasks]

    metrics = Metrics()
    results = await scatter(
        range(6), lambda: NODES, send, kind="test", metrics=metrics, timeout=5, deadline=10, chunk=6, attempts=3
    )
    assert results[3] == TaskResult(None, "", 3, "odd")
    assert all(outcome.value and outcome.attempts == 1 for at, outcome in enumerate(results) if at != 3)


async def test_errors_are_bounded_by_attempts() -> None:
    calls: list[str] = []

    async def refuse(endpoint: Endpoint, tasks: list[int]) -> list[int]:
        calls.append(endpoint.instance)
        raise Unavailable("away")

    results = await scatter(
        [1], lambda: NODES, refuse, kind="test", metrics=Metrics(), timeout=5, deadline=10, attempts=4
    )
    assert sorted(calls[:3]) == ["n0", "n1", "n2"], "each other node is tried before one is tried again"
    assert results == [TaskResult(None, "", 4, "away")]
    assert len(calls) == 4


async def test_the_deadline_ends_everything_and_a_task_never_asked_says_so() -> None:
    async def hang(endpoint: Endpoint, tasks: list[int]) -> list[int]:
        await asyncio.Event().wait()
        return tasks

    loop = asyncio.get_running_loop()
    started = loop.time()
    asked = await scatter([1], lambda: NODES, hang, kind="test", metrics=Metrics(), timeout=30, deadline=0.2)
    never = await scatter([1], list[Endpoint], hang, kind="test", metrics=Metrics(), timeout=30, deadline=0.2)
    assert loop.time() - started < 25
    assert asked == [TaskResult(None, "", 1, "the node did not answer in time")]
    assert never == [TaskResult(None, "", 0, "no node could be asked in time")]


async def test_a_node_that_joins_meanwhile_is_used() -> None:
    nodes: list[Endpoint] = []

    async def send(endpoint: Endpoint, tasks: list[int]) -> list[int]:
        return tasks

    asyncio.get_running_loop().call_later(0.1, nodes.append, NODES[0])
    results = await scatter([7], lambda: nodes, send, kind="test", metrics=Metrics(), timeout=5, deadline=10)
    assert results == [TaskResult(7, "n0", 1, "")]


async def test_a_wrong_number_of_answers_is_a_failure_and_a_defect_propagates() -> None:
    async def short(endpoint: Endpoint, tasks: list[int]) -> list[int]:
        return tasks[1:]

    async def broken(endpoint: Endpoint, tasks: list[int]) -> list[int]:
        raise ZeroDivisionError

    results = await scatter(
        [1, 2], lambda: NODES, short, kind="test", metrics=Metrics(), timeout=5, deadline=10, attempts=2
    )
    assert [outcome.value for outcome in results] == [None, None]
    with pytest.raises(ZeroDivisionError):
        await scatter([1], lambda: NODES, broken, kind="test", metrics=Metrics(), timeout=5, deadline=10)
