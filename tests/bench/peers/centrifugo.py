"""Centrifugo, built from its Go module: in memory, and without authentication, which is the quickest it can be."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from bench.case import Tools
from bench.errors import NoPeer
from bench.peers.peer import PeerServer, fetch, kept, process
from bench.servers.server import Server
from notifyx_local.ports import free_port
from support.go import NoGo, go_toolchain

VERSION = "v6.9.1"
MODULE = f"github.com/centrifugal/centrifugo/v6@{VERSION}"
BUILD = 900.0
"""Seconds in which it is downloaded and compiled; once."""


class Centrifugo:
    """The server with its defaults, but for what lets everybody in."""

    program = kept(f"centrifugo-{VERSION}") / "centrifugo"

    def fetch(self, say: Callable[[str], None]) -> None:
        """Build it."""
        if self.program.exists():
            return
        try:
            go = go_toolchain(lambda line: say(f"  {line}"))
        except NoGo as error:
            raise NoPeer(str(error)) from None
        say("  building Centrifugo, which takes some minutes once")
        environment = {**os.environ, "GOBIN": str(self.program.parent), "CGO_ENABLED": "0"}
        fetch([go, "install", MODULE], self.program.parent, BUILD, environment)

    @contextlib.contextmanager
    def running(self, tools: Tools, cores: Collection[int]) -> Iterator[Server]:
        """Run it."""
        port = free_port()
        config = {
            "http_server": {"address": "127.0.0.1", "port": port},
            "http_api": {"insecure": True},
            "client": {"insecure": True, "allowed_origins": []},
            "log": {"level": "error"},
        }
        with tempfile.TemporaryDirectory(prefix="notifyx-bench-centrifugo-") as folder:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps(config))
            with process([self.program, "--config", path], port, cores) as pid:
                yield PeerServer("centrifugo", port, pid, publish_path="/api/publish")
