"""The case that the model of large deployments (``bench.scale``) is fitted to, and checked against."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.case import Cores, Tools, per_operation
from bench.figures import Readings
from bench.kinds.sockets import USERS, arguments
from bench.load import Load, complete, running
from bench.machine import pss_kb
from bench.scale import Delivery, fitted
from bench.servers.own import Own, own, own_platform
from bench.servers.server import Server

DELIVERIES = 20_000
"""Deliveries a second, however many connections there are."""

FEW = 8
FEW_RATE = 200.0
"""Connections, and publishes a second to them: most of the work is the publish, at each gateway that it reaches."""

JOINING = 500
JOINED = 10
"""Connections that join topics of their own, and how many: what is kept for a topic is counted with its join."""

SIZES = (1_000, 5_000, 20_000)
GATEWAYS = (1, 4)


@dataclass(frozen=True, slots=True)
class Scaled:
    """Deliveries to 8, 1,000, 5,000 and 20,000 connections, at one gateway and at four.

    The costs of the model are fitted to the few connections, and to 20,000 at one gateway; the others are predicted.
    """

    seconds: float = 5

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return the costs, and each figure to what the model says. Raises :class:`CannotMeasure` for a peer."""
        platform = own_platform(server)
        found: dict[tuple[int, int], Readings] = {}
        for gateways in GATEWAYS:
            with own(platform.interpreter, "--gateways", str(gateways), "--mailers", "1") as scaled:
                if gateways == 1:
                    joining = _joining(tools, scaled, cores)
                for size in (FEW, *SIZES):
                    found[size, gateways] = self._steady(tools, scaled, cores, size)
        deliveries = {key: _delivery(one) for key, one in found.items()}
        costs = fitted(deliveries, FEW, SIZES[-1], GATEWAYS[-1])
        readings: dict[str, float] = {
            "deliver": costs.deliver,
            "gateway_publish": costs.gateway_publish,
            "gateway_feed": costs.gateway_feed,
            "store_publish": costs.store_publish,
            "store_feed": costs.store_feed,
            "postgres_publish": costs.postgres_publish,
            "connection_kb": found[SIZES[-1], 1]["kb_each"],
            **joining,
        }
        for size in SIZES:
            for gateways in GATEWAYS:
                predicted = costs.of_delivery(size, gateways)
                readings[f"cpu.{size}.{gateways}"] = deliveries[size, gateways].gateway / predicted
                readings[f"kb.{size}.{gateways}"] = found[size, gateways]["kb_each"]
        return readings

    def _steady(self, tools: Tools, platform: Own, cores: Cores, connections: int) -> Readings:
        count = min(connections, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500)
        rate = FEW_RATE if connections == FEW else DELIVERIES / count
        topic = f"{tools.label}.s{connections}"
        platform.topics(topic, 1)
        options: dict[str, float] = {"rate": rate, "seconds": self.seconds, "size": 200}
        with _connected(tools, platform, cores, topic, count, mode="steady", **options) as (load, connecting):
            found = load.measured(platform.processes())
        complete(found)
        kept = {"kb_each": connecting["kb_each"], "connections": float(count)}
        return {**kept, **per_operation(load.cpu, found["done"])}


def _joining(tools: Tools, platform: Own, cores: Cores) -> Readings:
    """Return what a connection costs with its first join, and each further one: each joins topics of its own."""
    found = []
    for joined in (1, JOINED):
        topic, topics = f"{tools.label}.j{joined}", JOINING * joined
        platform.topics(topic, topics)
        options = {"topics": topics, "messages": 1}
        with _connected(tools, platform, cores, topic, JOINING, mode="publish", **options) as (_, connecting):
            found.append(connecting)
    readings = {"gateway_connect": found[0]["cpu.gateway"], "store_connect": found[0]["cpu.store"]}
    for name, key in {"gateway_join": "cpu.gateway", "store_join": "cpu.store", "join_kb": "kb_each"}.items():
        readings[name] = (found[1][key] - found[0][key]) / (JOINED - 1)
    return readings


@contextlib.contextmanager
def _connected(
    tools: Tools, platform: Own, cores: Cores, topic: str, connections: int, **options: str | float
) -> Iterator[tuple[Load, Readings]]:
    """Connect and join; yield the load client, and what each connection cost and keeps in memory."""
    command = arguments(platform, topic, connections=connections, **options)
    tokens = platform.tokens(USERS)
    with running(tools.programs["loadclient"], command, tokens=tokens, cores=cores.client) as load:
        load.figures()
        before = _memory(platform.processes())
        load.measured(platform.processes())
        each = (_memory(platform.processes()) - before) / connections
        yield load, {"kb_each": each, **per_operation(load.cpu, connections)}


def _delivery(found: Readings) -> Delivery:
    return Delivery(found["connections"], found["cpu.gateway"], found["cpu.store"], found["cpu.postgres"])


def _memory(processes: Mapping[str, int]) -> float:
    return sum(pss_kb(pid) for name, pid in processes.items() if name.startswith("gateway"))
