"""Ports are free, on the loopback address, and reserved by one process at a time."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from notifyx_local import ports
from notifyx_local.ports import NoFreePort, free_port
from support.patience import PATIENCE

DRAW = "import sys; from pathlib import Path; from notifyx_local.ports import free_port; "


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Only a few ports to choose from, so that two draws would meet."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    with taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "PORT_RANGE", range(port, port + 1))
        yield tmp_path


def test_none_is_one_that_outgoing_connections_get(tmp_path: Path) -> None:
    assert all(20_000 <= free_port(tmp_path) < 30_000 for _ in range(20))


def test_no_port_is_given_twice(tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"{DRAW}print(*[free_port(Path(sys.argv[1])) for _ in range(150)]); input()"]
    with ExitStack() as stack:
        drawing = [
            stack.enter_context(
                subprocess.Popen([*command, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(3)
        ]
        lines = [process.stdout.readline() for process in drawing if process.stdout is not None]
        for process in drawing:
            process.communicate("\n", timeout=PATIENCE)
    drawn = [port for line in lines for port in line.split()]
    assert len(drawn) == len(set(drawn)) == 450


def test_a_port_that_is_listened_on_is_not_given(few: Path) -> None:
    with pytest.raises(NoFreePort):
        free_port(few)


def test_what_a_dead_process_was_given_is_free_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    draw = [sys.executable, "-c", f"{DRAW}print(free_port(Path(sys.argv[1])))", str(tmp_path)]
    port = int(subprocess.run(draw, check=True, capture_output=True, text=True).stdout)
    monkeypatch.setattr(ports, "PORT_RANGE", range(port, port + 1))
    assert free_port(tmp_path) == port
    with pytest.raises(NoFreePort):
        free_port(tmp_path)
