"""What the operator gives back of the memory that a burst of topics has used."""

from __future__ import annotations

import gc
import weakref

import pytest

from notifyx_operator.app import OperatorNode
from notifyx_operator.memory import FreedMemory
from notifyx_operator.settings import OperatorSettings


class Topic:
    """Something that only a cycle holds."""

    def __init__(self) -> None:
        self.itself = self


async def test_what_only_cycles_hold_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[None] = []
    monkeypatch.setattr("notifyx_operator.memory.trimmer", lambda: lambda: trimmed.append(None))
    memory = FreedMemory()
    gc.disable()
    try:
        left = weakref.ref(Topic())
        assert left() is not None
        await memory.give_back()
        assert left() is None
        assert len(trimmed) == 1
    finally:
        gc.enable()


def test_the_collector_runs_as_often_as_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "freeze", lambda: None)
    before = gc.get_threshold()
    try:
        OperatorNode(OperatorSettings(internal_token="a token of the platform 0123456789")).tune_collector()
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*before)
