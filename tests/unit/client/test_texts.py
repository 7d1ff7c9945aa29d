"""Where the text of a notification comes from: an argument, a file, or standard input."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from notifyx.cli.exits import UsageProblem
from notifyx.cli.texts import STDIN, read_text

FOREVER = 3600.0


class Terminal(io.StringIO):
    """Standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end to write to of a pipe that is standard input."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with os.fdopen(writing, "wb", buffering=0) as other:
            yield other.fileno()


def piped(monkeypatch: pytest.MonkeyPatch, stdin: TextIO | None) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("written", [b"from a pipe\n", b""])
def test_a_pipe_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch, written: bytes, needed: bool) -> None:
    reading, writing = os.pipe()
    os.write(writing, written)
    os.close(writing)
    with os.fdopen(reading) as stdin:
        piped(monkeypatch, stdin)
        assert read_text(None, None, needed=needed, silence=FOREVER) == written.decode()


def test_a_silent_pipe_is_not_waited_for_for_ever(pipe: int) -> None:
    with pytest.raises(UsageProblem, match="Give - as the text to wait for it, or ''"):
        read_text(None, None, needed=False, silence=0)
    assert read_text("", None, needed=False, silence=0) == "", "an empty text reads nothing"
    os.write(pipe, b"late")
    os.set_blocking(sys.stdin.fileno(), False)
    assert read_text(None, None, needed=False, silence=FOREVER) == "late"


@pytest.mark.parametrize("file", [None, STDIN])
def test_a_file_as_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path | None) -> None:
    body = tmp_path / "body"
    body.write_text("from a file")
    with body.open() as stdin:
        piped(monkeypatch, stdin)
        assert read_text(None, file, needed=False) == "from a file"
    assert read_text(None, body, needed=False) == "from a file"


def test_what_is_no_input_is_no_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal, a closed one, and one that can only be written to, as ``nohup`` gives."""
    with (tmp_path / "out").open("w") as unreadable, open(unreadable.fileno(), closefd=False) as stdin:
        for nothing in (Terminal("typed"), None, stdin):
            piped(monkeypatch, nothing)
            assert read_text(None, None, needed=False) == ""
    for nothing in (Terminal("typed"), None):
        piped(monkeypatch, nothing)
        with pytest.raises(UsageProblem, match="Give a text"):
            read_text(None, None, needed=True)
