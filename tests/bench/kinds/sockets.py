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

    mode: Literal["flood", "steady", "publish", "idle"]
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
        arguments = [
            "--mode", self.mode, "--dialect", server.dialect, "--port", str(server.port), "--topic", topic,
            "--connections", str(self.connections), "--messages", str(self.messages), "--topics", str(self.topics),
            "--window", str(self.window), "--pause", str(self.pause), "--rate", str(self.rate),
            "--seconds", str(self.seconds), "--size", str(self.size),
        ]  # fmt: skip
        tokens = server.tokens(self.users)
        with running(tools.programs["loadclient"], arguments, tokens=tokens, cores=cores.client) as load:
            load.figures()
            joined = load.measured(server.processes())
            joins = {f"join.{key}": value for key, value in per_operation(load.cpu, self.connections).items()}
            found = load.measured(server.processes())
        if self.mode == "idle":
            return {**joined, **joins}
        complete(found)
        return {**joined, **joins, **found, **per_operation(load.cpu, found["done"])}
