"""The plan behind ``scatter``: whatever the nodes do, each task settles exactly once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.scatter import Attempt, ScatterPlan, Slots

NODES = [Endpoint(f"n{number}", f"http://n{number}") for number in range(4)]


@given(data=st.data())
def test_every_task_settles_once_whatever_happens(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 40), "count")
    attempts = data.draw(st.integers(1, 4), "attempts")
    concurrency = data.draw(st.integers(1, 6), "concurrency")
    per_endpoint = data.draw(st.integers(1, 3), "per endpoint")
    plan = ScatterPlan(
        count,
        chunk=data.draw(st.integers(1, 9), "chunk"),
        attempts=attempts,
        concurrency=concurrency,
        slots=Slots(per_endpoint),
    )
    settled: list[int] = []
    running: list[Attempt] = []
    given_up: list[Attempt] = []
    tries: Counter[int] = Counter()
    while not plan.done:
        nodes = data.draw(st.lists(st.sampled_from(NODES), unique=True), "nodes")
        while (attempt := plan.next_attempt(nodes)) is not None:
            assert attempt.endpoint in nodes
            assert not {task for other in running for task in other.tasks} & set(attempt.tasks)
            running.append(attempt)
            tries.update(attempt.tasks)
        assert len(running) <= concurrency
        assert max(Counter(attempt.endpoint.url for attempt in running).values(), default=0) <= per_endpoint
        if not running:
            attempt = plan.next_attempt(NODES)
            assert attempt is not None, "with nodes there and nothing in flight, something must go on"
            running.append(attempt)
            tries.update(attempt.tasks)
        attempt = running.pop(data.draw(st.integers(0, len(running) - 1), "which"))
        if data.draw(st.booleans(), "works"):
            answered = data.draw(st.sets(st.sampled_from(attempt.tasks)), "answered")
            good, bad = plan.record_answer(attempt, answered)
            assert set(good) == answered
            settled += good + bad
        else:
            settled += plan.record_failure(attempt)
        given_up.append(attempt)
        late = data.draw(st.sampled_from(given_up), "late")
        assert plan.record_answer(late, late.tasks) == ([], []), "a late answer settles nothing"
        assert plan.record_failure(late) == []
    assert sorted(settled) == list(range(count))
    assert max(tries.values(), default=0) <= attempts


@given(st.integers(0, 60), st.integers(1, 10), st.integers(0, 5))
def test_abandoning_settles_what_is_left(count: int, chunk: int, answered: int) -> None:
    plan = ScatterPlan(count, chunk=chunk)
    settled: list[int] = []
    for _ in range(answered):
        if (attempt := plan.next_attempt(NODES)) is not None:
            settled += plan.record_answer(attempt, attempt.tasks)[0]
    plan.next_attempt(NODES)
    assert sorted(settled + plan.abandon()) == list(range(count))
    assert plan.done


def test_chunks_go_round_the_nodes_and_none_holds_more_than_its_share() -> None:
    plan = ScatterPlan(100, chunk=10, slots=Slots(2), concurrency=16)
    first = [plan.next_attempt(NODES) for _ in range(8)]
    assert Counter(attempt.endpoint.instance for attempt in first if attempt) == {"n0": 2, "n1": 2, "n2": 2, "n3": 2}
    assert plan.next_attempt(NODES) is None


def test_a_failed_chunk_goes_to_a_node_it_has_not_been_to_and_the_failed_node_gets_no_more() -> None:
    plan = ScatterPlan(4, chunk=1, slots=Slots(1))
    attempts = [plan.next_attempt(NODES[:2]) for _ in range(2)]
    bad = attempts[0]
    assert bad is not None
    assert plan.record_failure(bad) == []
    assert plan.next_attempt(NODES[:2]) is None, (
        "the other node is busy, and the failed one is left alone while it is well"
    )
    good = attempts[1]
    assert good is not None
    plan.record_answer(good, good.tasks)
    order = []
    while (attempt := plan.next_attempt(NODES[:2])) is not None:
        order.append(attempt)
        plan.record_answer(attempt, attempt.tasks)
    assert {attempt.endpoint.url for attempt in order} == {good.endpoint.url}
    assert bad.tasks in [attempt.tasks for attempt in order]
    assert plan.done
