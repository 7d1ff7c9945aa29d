"""A real NATS server for tests, from the package that the development environment installs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from notifyx_local.ports import free_port
from support.child import child
from support.listening import Server, wait_until_listening

PROGRAM = Path(sys.executable).with_name("nats-server")


@dataclass(slots=True)
class NatsServer(Server):
    """A running one, or one that was killed."""

    port: int
    config: Path
    scheme: str = "nats"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL, as the setting takes it."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections. It ends with this process."""
        log = self.config.with_suffix(".log")
        with log.open("ab") as output:
            self.process = child([PROGRAM, "-c", self.config], stdout=output, stderr=output)
        wait_until_listening(self.process, self.port, log.read_text)


def on_bus(server: NatsServer, **more: Any) -> dict[str, Any]:
    """The settings of a store that is woken by ``server``, without hearing those of other tests."""
    return {"bus_url": server.url, "bus_subject": f"test.{uuid4().hex}", **more}


@contextlib.contextmanager
def running_nats(folder: Path, *, config: str = "", scheme: str = "nats") -> Iterator[NatsServer]:
    """A running server with more lines of ``config``, whose files are in ``folder``."""
    port = free_port()
    file = folder / f"nats-{port}.conf"
    file.write_text(f'host: "127.0.0.1"\nport: {port}\n{config}\n')
    server = NatsServer(port, file, scheme)
    server.start()
    try:
        yield server
    finally:
        server.kill()
