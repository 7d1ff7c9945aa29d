"""Histories in simulated time: they keep the promise, repeat to the letter, and fail without what protects it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.mutations import BY_NAME, MUTATIONS, Mutation
from simulation.plan import draw, over_nats
from simulation.rules import check
from simulation.shrink import kept, shortest
from simulation.world import run
from support.patience import PATIENCE

TESTS = Path(__file__).parents[1]
HISTORIES = 250
"""Of each part."""

SEARCHED = 400
"""Histories in which one has to find what is taken out; most need less than fifty."""

TRACES = """
from simulation.plan import draw
from simulation.world import run

print(*[run(draw(seed)).trace for seed in range(20)])
"""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_histories_keep_the_promise(part: int) -> None:
    broken = {}
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        if violations := check(run(draw(seed))):
            broken[seed] = [str(violation) for violation in violations]
    assert not broken, 'make simulate ARGS="--histories 1 --seed …" shows one'


@pytest.mark.slow
def test_histories_over_nats_keep_the_promise() -> None:
    broken = {}
    for seed in range(HISTORIES):
        if violations := check(run(over_nats(draw(seed)))):
            broken[seed] = [str(violation) for violation in violations]
    assert not broken, 'make simulate ARGS="--bus nats --histories 1 --seed …" shows one'


def test_a_history_is_the_same_in_each_process() -> None:
    here = [run(draw(seed)).trace for seed in range(20)]
    assert here == [run(draw(seed)).trace for seed in range(20)]
    assert len(set(here)) == 20
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [sys.executable, "-c", TRACES], env=environment, capture_output=True, check=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.split() == here


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_histories_find_what_is_taken_out(mutation: Mutation) -> None:
    found = mutation.find(SEARCHED)
    assert found is not None, mutation.meaning
    assert not check(run(mutation.scene(found))), "with the protection"


def test_a_failing_history_is_shortened() -> None:
    mutation = BY_NAME["resume-cursor"]
    with mutation.applied():
        plan = next(plan for plan in map(draw, range(SEARCHED)) if len(plan.steps) > 15 and check(run(plan)))
        positions = shortest(plan, lambda smaller: bool(check(run(smaller))))
        assert len(positions) < len(plan.steps)
        assert check(run(kept(plan, positions)))
