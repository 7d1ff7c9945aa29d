"""Cases of the bus by which stores wake each other: PostgreSQL's NOTIFY beside a NATS, with the same nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.case import Cores, Tools
from bench.figures import Readings
from bench.kinds.sockets import SocketLoad
from bench.servers.own import own, own_platform
from bench.servers.server import Server

BUSES = {"postgres": "", "nats": "nats"}
"""The option of ``notifyx up``, by the bus."""

PUBLISH = SocketLoad("publish", 10, messages=2000, topics=100)
DELIVER = SocketLoad("steady", 200, rate=50, seconds=5)


@dataclass(frozen=True, slots=True)
class Buses:
    """The same publishes and deliveries over each bus, one after the other, on platforms of their own."""

    stores: int
    gateways: int

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return rates, times and their ratios. Raises :class:`CannotMeasure` for a peer."""
        interpreter = own_platform(server).interpreter
        found: dict[str, float] = {}
        for bus, option in BUSES.items():
            nodes = ("--stores", str(self.stores), "--gateways", str(self.gateways), "--mailers", "1")
            with own(interpreter, *nodes, f"--bus={option}") as platform:
                published = PUBLISH.measure(tools, platform, cores)
                delivered = DELIVER.measure(replace(tools, label=f"{tools.label}.d"), platform, cores)
            found |= {
                f"{bus}.per_second": published["per_second"],
                f"{bus}.cpu": published["cpu.servers"],
                f"{bus}.p50_ms": delivered["p50_ms"],
                f"{bus}.p99_ms": delivered["p99_ms"],
            }
        return {**found, "ratio": found["nats.per_second"] / found["postgres.per_second"]}
