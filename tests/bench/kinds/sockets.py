"""Cases over the socket: the same load client and the same messages, whoever the server is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.case import Cores, Tools, per_operation
from bench.figures import Readings
from bench.load import complete, running
from bench.servers.server import Server

USERS = 10
"""Users who share the connections. A limit of publishes is one user's."""


@dataclass(frozen=True, slots=True)
class SocketLoad:
    """A run of the load client; see its source for the modes. ``window``: publishes of a connection without a reply."""

    mode: Literal["flood", "steady", "publish"]
    connections: int
    messages: int = 1
    topics: int = 1
    window: int = 500
    pause: float = 0
    rate: float = 20
    seconds: float = 10
    size: int = 200
    users: int = USERS

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Connect, join and send; return the figures and the processor time of a publish or delivery."""
        topic = f"{tools.label}.t"
        server.topics(topic, self.topics)
        cores.pin(server)
        options = arguments(
            server, topic, mode=self.mode, connections=self.connections, messages=self.messages, topics=self.topics,
            window=self.window, pause=self.pause, rate=self.rate, seconds=self.seconds, size=self.size,
        )  # fmt: skip
        tokens = server.tokens(self.users)
        with running(tools.programs["loadclient"], options, tokens=tokens, cores=cores.client) as load:
            load.figures()
            load.next()
            load.figures()
            found = load.measured(server.processes(), tools.observe)
        complete(found)
        cpu = per_operation(load.cpu, found["done"])
        return {**found, **cpu, "cpu_ms_publish": cpu["cpu.servers"] * self.connections / 1000}


def arguments(server: Server, topic: str, **options: str | float) -> list[str]:
    """Return the load client's command line."""
    always: dict[str, str | float] = {"dialect": server.dialect, "port": server.port, "topic": topic}
    return [part for name, value in {**always, **options}.items() for part in (f"--{name}", str(value))]
