"""Servers of Node.js as most people write them: with the package ws, and with Socket.IO."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.case import Tools
from bench.errors import NoPeer
from bench.peers.peer import PeerServer, fetch, kept, process
from bench.servers.server import Server
from notifyx_local.ports import free_port
from support.node import node

SCRIPTS = Path(__file__).parent / "js"


@dataclass(frozen=True, slots=True)
class Node:
    """A small program around an npm package."""

    package: str
    script: str
    dialect: str

    def fetch(self, say: Callable[[str], None]) -> None:
        """Install the package into a folder of its own."""
        folder = kept(self.package)
        if not (folder / "node_modules").exists():
            say(f"  fetching {self.package}")
            try:
                npm = node("npm")
            except AssertionError as error:
                raise NoPeer(str(error)) from None
            command = [*npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), self.package]
            fetch(command, folder, 300, os.environ)
        shutil.copy(SCRIPTS / self.script, folder)

    @contextlib.contextmanager
    def running(self, tools: Tools, cores: Collection[int]) -> Iterator[Server]:
        """Run it."""
        port = free_port()
        with process([*node("node"), kept(self.package) / self.script, str(port)], port, cores) as pid:
            yield PeerServer(self.dialect, port, pid)
