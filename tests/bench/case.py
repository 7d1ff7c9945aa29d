"""A case of the benchmark as a value: what is done, to whom, and what is read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bench.figures import Figure, Readings
from bench.load import Observe, unobserved
from bench.machine import CLIENT, CORES, SERVERS, pin
from bench.servers.server import Programs, Server


@dataclass(frozen=True, slots=True)
class Tools:
    """What a measurement works with."""

    programs: Programs
    scratch: Path
    label: str
    """A name that no other run of this platform has: the beginning of its topics."""
    observe: Observe = unobserved
    """Begins and ends with what is measured."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the servers and the load client run on."""

    servers: tuple[int, ...]
    client: tuple[int, ...]

    def pin(self, server: Server) -> None:
        """Move the server there."""
        pin(server.processes().values(), self.servers)


class Work(Protocol):
    """What is done to a server in a case."""

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Do it once and return the figures."""
        ...


ONE_CORE = Cores(SERVERS, CLIENT)
"""All processes of the server on one core, the load client on another."""
ALL_CORES = Cores(CORES, CORES)

PeerName = Literal["C", "nats", "JetStream", "Centrifugo", "ws", "socket.io"]


@dataclass(frozen=True, slots=True)
class Case:
    """One row, or several, of the table."""

    name: str
    title: str
    work: Work
    figures: tuple[Figure, ...]
    seconds: float
    """How long one run takes, about."""
    cores: Cores = ALL_CORES
    peers: tuple[PeerName, ...] = ()
    short: str = ""
    """A title for pictures."""
    beside: tuple[tuple[str, Work], ...] = ()
    """Other work on this platform that the case is compared with, by name."""


def per_operation(cpu: Mapping[str, float], operations: float) -> Readings:
    """Return the processor time of an operation in microseconds, by what the processes are: ``cpu.store`` and so on.

    ``cpu.front`` is the process that holds the connections, whatever its name, and ``cpu.servers`` all of the server.
    ``operations`` is their number.
    """
    found: dict[str, float] = {}
    for name, seconds in cpu.items():
        key = f"cpu.{kind(name) if kind(name) in NAMED else 'others'}"
        found[key] = found.get(key, 0.0) + seconds / operations * 1e6
    found["cpu.front"] = found.get("cpu.gateway", found.get("cpu.server", 0.0))
    found["cpu.servers"] = sum(value for key, value in found.items() if key not in ("cpu.client", "cpu.front"))
    return {**found, "operations": operations}


def kind(process: str) -> str:
    """Return what a process is: its name without its number."""
    return process.rstrip("0123456789").rstrip("-")


NAMED = ("gateway", "store", "postgres", "client", "server")
"""Processes with a column of their own."""
