"""The short form of ``make fuzz``: each target reads its corpus and a few hundred inputs; and a failure is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.mutator import MAX_INPUT, Mutator
from fuzz.runner import calls, failure_of, keep, kept_blocks, most_calls, run
from fuzz.target import CORPUS, Target
from fuzz.targets import BY_NAME
from support.measured import undisturbed

INPUTS = 300
"""Of each target."""

COUNTED = 30
"""Inputs of each target whose calls and whose memory are counted."""

SEED = 20_261_129

TARGETS = pytest.mark.parametrize("target", BY_NAME.values(), ids=lambda target: target.name)


def drawn(target: Target, inputs: int) -> list[bytes]:
    mutator = Mutator(target.corpus(), seed=SEED, has_head=target.has_head)
    return [mutator.draw() for _ in range(inputs)]


@TARGETS
def test_each_input_is_answered_or_refused(target: Target, tmp_path: Path) -> None:
    outcome = run(target, [*target.corpus(), *drawn(target, INPUTS)], timed=False)
    assert outcome.accepted > 0, "the corpus is valid"
    kept = {failure: str(keep(tmp_path, target, failure, data)) for failure, data in outcome.failures}
    assert not kept, f'make fuzz ARGS="--target {target.name}" shows them'


@TARGETS
def test_an_input_takes_few_steps_and_nothing_of_it_is_kept(target: Target) -> None:
    inputs = drawn(target, COUNTED)
    with undisturbed():
        dear = {data: counted for data in inputs if (counted := calls(target, data)) > most_calls(target, data)}
        assert not dear
        assert kept_blocks(target, inputs) < COUNTED


def test_each_target_has_a_corpus_and_each_corpus_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(BY_NAME)


def test_a_seed_draws_the_same_inputs_of_all_kinds() -> None:
    target = BY_NAME["hook"]
    inputs = drawn(target, INPUTS)
    assert inputs == drawn(target, INPUTS)
    assert len(set(inputs)) > INPUTS * 3 / 4
    assert all(len(data) <= 2 * MAX_INPUT + 1 for data in inputs)
    outcome = run(target, inputs, timed=False)
    assert INPUTS / 10 < outcome.accepted < INPUTS * 9 / 10


def test_a_failure_is_shortened_and_written_to_a_file(tmp_path: Path) -> None:
    def read(data: bytes) -> None:
        if b"\0" in data and b"key" in data:
            raise LookupError

    target = Target("hook", read)
    mutator = Mutator(target.corpus(), seed=SEED, has_head=target.has_head)
    data = next(data for data in iter(mutator.draw, None) if failure_of(target, data + b"key"))
    assert keep(tmp_path, target, failure_of(target, data + b"key") or "", data + b"key").read_bytes() in (
        b"\0key", b"key\0",
    )  # fmt: skip


def test_what_keeps_its_inputs_is_found() -> None:
    kept: list[list[bytes]] = []
    inputs = [bytes(300) for _ in range(COUNTED)]
    # More than one block for each: others free some of theirs meanwhile.
    assert kept_blocks(Target("hook", lambda data: kept.append([data + b"x", data + b"y"])), inputs) >= COUNTED
