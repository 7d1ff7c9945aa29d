"""What ``make cluster`` says while a step takes long."""

from __future__ import annotations

import threading

import pytest

from cluster.__main__ import progress
from support.patience import PATIENCE


def test_a_long_step_is_named_again(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    again = threading.Event()

    def written(line: str, **_: object) -> None:
        said.append(line.partition(" s  ")[2])
        if said[-1].startswith("still"):
            again.set()

    monkeypatch.setattr("builtins.print", written)
    with progress(0.01) as say:
        say("building an image")
        assert again.wait(PATIENCE)
        say("starting")
    assert said[:2] == ["building an image", "still building an image"]
    assert "starting" in said
