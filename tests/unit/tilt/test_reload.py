"""The process that runs a service in a Tilt session, with real processes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.patience import PATIENCE

RELOAD = (Path(__file__).parents[3] / "tilt" / "reload.py").read_text()
DEADLINE = PATIENCE
SERVICE = """
import signal, sys, notifyx_demo
from notifyx_demo import say
# Blocked, so that one which comes before the wait is kept for it.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
say(f"{notifyx_demo.__file__} {' '.join(sys.argv[1:])}")
signal.sigwait({signal.SIGTERM})
say("stopping")
sys.exit(7)
"""
PACKAGE = """
import os
TEXT = "first"
def say(what):
    with open(os.environ["SAID"], "a") as file:
        file.write(f"{TEXT} {what}\\n")
"""


class Session:
    """A container of a Tilt session: an installed package, its service, and what Tilt does to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.live, self.said = folder, folder / "live", folder / "said"
        self.venv = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.venv], check=True, timeout=PATIENCE)
        (site,) = self.venv.glob("lib/python3*/site-packages")
        for name, text in (("notifyx_demo", PACKAGE), ("another", "")):
            (site / name).mkdir()
            (site / name / "__init__.py").write_text(text)
        (site / "notifyx_demo-1.dist-info").mkdir()
        self.service = self.venv / "bin" / "notifyx-demo"
        self.service.write_text(f"#!{self.venv}/bin/python3\n{SERVICE}")
        self.service.chmod(0o755)
        self.said.touch()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [self.venv / "bin" / "python3", "-c", RELOAD, self.live, "notifyx-demo", "--flag"],
            env={**os.environ, "PATH": f"{self.venv}/bin:{os.environ['PATH']}", "SAID": str(self.said)},
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def lines(self) -> list[str]:
        return self.said.read_text().splitlines()

    def heard(self, count: int) -> list[str]:
        until(lambda: len(self.lines()) >= count, f"{count} lines")
        return self.lines()

    def change(self, text: str) -> None:
        """What Tilt does: the file, then the signal."""
        (self.live / "notifyx_demo" / "__init__.py").write_text(text)
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path)
    yield made
    if made.process is not None:
        if made.process.poll() is None:
            made.process.send_signal(signal.SIGTERM)
        made.process.communicate(timeout=DEADLINE)


def test_the_copy_is_what_runs_with_its_arguments(session: Session) -> None:
    session.start()
    assert session.heard(1) == [f"first {session.live}/notifyx_demo/__init__.py --flag"]
    assert [one.name for one in session.live.iterdir()] == ["notifyx_demo"]


def test_a_change_is_live_after_the_old_process_stopped(session: Session) -> None:
    process = session.start()
    session.heard(1)
    session.change(PACKAGE.replace("first", "second"))
    lines = session.heard(3)
    assert lines[1] == "first stopping"
    assert lines[2].startswith("second ")
    assert process.poll() is None


def test_it_is_told_to_end_and_ends_as_the_service_does(session: Session) -> None:
    process = session.start()
    session.heard(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 7
    assert session.lines()[-1] == "first stopping"


def test_a_service_that_was_changed_ends_when_told_too(session: Session) -> None:
    process = session.start()
    session.heard(1)
    session.change(PACKAGE.replace("first", "second"))
    session.heard(3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 7


def test_a_broken_change_waits_for_the_next_one(session: Session) -> None:
    process = session.start()
    session.heard(1)
    session.change("this is no Python")
    assert process.stderr is not None
    said = ""
    while "the next change starts it again" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    assert "SyntaxError" in said
    session.change(PACKAGE.replace("first", "mended"))
    assert session.heard(3)[-1].startswith("mended ")


def test_a_service_that_never_started_takes_the_container_with_it(session: Session) -> None:
    session.service.write_text(f"#!{session.venv}/bin/python3\nraise SystemExit(3)\n")
    assert session.start().wait(DEADLINE) == 3


def test_what_an_earlier_container_left_is_gone(session: Session) -> None:
    left = session.live / "notifyx_demo" / "left.py"
    left.parent.mkdir(parents=True)
    left.touch()
    session.start()
    session.heard(1)
    assert not left.exists()
