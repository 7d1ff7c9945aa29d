"""What a deployment of any size needs, from what its parts cost: a model, fitted to measurements and checked by others.

Pure. ``python -m bench.scale`` prints the tables of docs/scale-model.md. Costs are microseconds of processor time; each
process of a service uses one core at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

BUSY = 0.6
"""Part of a core that a process uses at most in the ordinary state: the rest is for the loss of others."""

MEMORY_MB = 800
"""Memory that a gateway's connections and topics take at most."""

MAX_NODES = 10_000


@dataclass(frozen=True, slots=True)
class Costs:
    """What one operation costs each part.

    ``feed``: a publish that reaches one gateway, however many it has there. ``connect``: a connection with its first
    join; ``join``: each further one.
    """

    deliver: float
    gateway_publish: float
    gateway_feed: float
    store_publish: float
    store_feed: float
    postgres_publish: float
    gateway_connect: float
    gateway_join: float
    store_connect: float
    store_join: float
    connection_kb: float
    join_kb: float
    gateway_mb: float

    def of_delivery(self, connections: float, gateways: int) -> float:
        """Return what all gateways use for a delivery, where each publish goes to ``connections``."""
        publish = self.gateway_publish + reached(gateways, connections) * self.gateway_feed
        return self.deliver + publish / connections


@dataclass(frozen=True, slots=True)
class Load:
    """Who is connected and what is published, a second; each connection joins ``joined`` topics."""

    connections: int
    topics: int
    joined: int
    publishes: float
    zones: int = 3
    back_within: float = 60.0
    """Seconds in which the clients of a lost zone shall be back at the others."""

    @property
    def subscribers(self) -> float:
        """Connected subscribers of a topic."""
        return self.connections * self.joined / self.topics

    @property
    def deliveries(self) -> float:
        """Messages to connections a second."""
        return self.publishes * self.subscribers


@dataclass(frozen=True, slots=True)
class Need:
    """What a load needs: nodes, and cores in use in the ordinary state."""

    gateways: int
    stores: int
    gateway_cores: float
    store_cores: float
    postgres_cores: float
    gateway_mb: float
    reached: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """What each service was measured to use for a delivery, where each publish goes to ``connections``."""

    connections: float
    gateway: float
    store: float
    postgres: float


def fitted(found: Mapping[tuple[int, int], Delivery], few: int, many: int, gateways: int) -> Costs:
    """Return :data:`MEASURED` with the costs of a publish and of a delivery that follow from three measurements.

    These are of ``few`` connections at one gateway and at ``gateways``, and of ``many`` at one.
    """
    alone, spread, wide = found[few, 1], found[few, gateways], found[many, 1]
    more = reached(gateways, alone.connections) - 1
    gateway_feed = max(0.0, (spread.gateway - alone.gateway) * alone.connections / more)
    store_feed = max(0.0, (spread.store - alone.store) * alone.connections / more)
    # Of a publish and its feed together, which the two sizes share.
    deliver = (wide.gateway * wide.connections - alone.gateway * alone.connections) / (
        wide.connections - alone.connections
    )
    publish = (alone.gateway - deliver) * alone.connections
    return replace(
        MEASURED,
        deliver=deliver,
        gateway_publish=max(0.0, publish - gateway_feed),
        gateway_feed=gateway_feed,
        store_publish=max(0.0, alone.store * alone.connections - store_feed),
        store_feed=store_feed,
        postgres_publish=alone.postgres * alone.connections,
    )


def reached(gateways: int, subscribers: float) -> float:
    """Return how many gateways have a subscriber of a topic, whose connections are spread at random."""
    return gateways * -math.expm1(subscribers * math.log1p(-1 / gateways)) if gateways > 1 else min(1.0, subscribers)


def gateway_cores(costs: Costs, load: Load, gateways: int) -> float:
    """Return the cores that all gateways use together."""
    each = costs.gateway_publish + reached(gateways, load.subscribers) * costs.gateway_feed
    return (load.deliveries * costs.deliver + load.publishes * each) / 1e6


def gateway_memory(costs: Costs, load: Load, gateways: int) -> float:
    """Return the megabytes of one gateway. Each join counts as if nobody else there had joined that topic."""
    each = costs.connection_kb + (load.joined - 1) * costs.join_kb
    return costs.gateway_mb + load.connections / gateways * each / 1000


def need(costs: Costs, load: Load) -> Need:
    """Return the fewest nodes that carry ``load``, and take the clients of a lost zone back in time.

    Raises :class:`ValueError` where no number of gateways does: each one adds to the feed, too.
    """
    left = (load.zones - 1) / load.zones
    back = load.connections / load.zones / load.back_within
    gateways_back = back * (costs.gateway_connect + (load.joined - 1) * costs.gateway_join) / 1e6
    for gateways in _numbers():
        cores = gateway_cores(costs, load, gateways)
        remaining = int(gateways * left)
        memory = gateway_memory(costs, load, max(1, remaining)) - costs.gateway_mb
        if cores <= BUSY * gateways and cores + gateways_back <= remaining and memory <= MEMORY_MB:
            break
    else:
        raise ValueError(f"No number of gateways up to {MAX_NODES} carries this load.")
    feed = load.publishes * reached(gateways, load.subscribers)
    stores_back = back * (costs.store_connect + (load.joined - 1) * costs.store_join) / 1e6
    store_cores = (load.publishes * costs.store_publish + feed * costs.store_feed) / 1e6
    stores = max(2, math.ceil(store_cores / BUSY), math.ceil((store_cores + stores_back) / left))
    return Need(
        gateways=gateways,
        stores=stores,
        gateway_cores=cores,
        store_cores=store_cores,
        postgres_cores=load.publishes * costs.postgres_publish / 1e6,
        gateway_mb=gateway_memory(costs, load, gateways),
        reached=reached(gateways, load.subscribers),
    )


def _numbers() -> Iterator[int]:
    """Small numbers one by one, then in steps of a twentieth."""
    number = 2
    while number <= MAX_NODES:
        yield number
        number += max(1, number // 20)


MEASURED = Costs(
    deliver=9, gateway_publish=93, gateway_feed=280, store_publish=53, store_feed=20, postgres_publish=38,
    gateway_connect=150, gateway_join=37, store_connect=60, store_join=17,
    connection_kb=6.5, join_kb=3.7, gateway_mb=60,
)  # fmt: skip
"""What ``make bench`` measured on two cores: a publish in rest-publish, the memory of a connection in connections, all
others in scale."""

LOADS = {
    "20,000 connections, 1,000 topics": Load(20_000, 1_000, 5, 200),
    "100,000 connections, 10,000 topics": Load(100_000, 10_000, 5, 1_000),
    "1,000,000 connections, 100,000 topics": Load(1_000_000, 100_000, 5, 2_000),
}
"""Loads of the table, by what it calls them."""


def prices(costs: Costs) -> str:
    """Return what one operation costs each part, as Markdown."""
    rows = (
        ("what", "gateway", "store", "PostgreSQL"),
        ("a publish, many at once", costs.gateway_publish, costs.store_publish, costs.postgres_publish),
        ("the same, for each gateway that it reaches", costs.gateway_feed, costs.store_feed, ""),
        ("one message to one connection", costs.deliver, "", ""),
        ("a connection with its first join", costs.gateway_connect, costs.store_connect, ""),
        ("each further join", costs.gateway_join, costs.store_join, ""),
        ("memory of a connection, of each further topic", f"{costs.connection_kb}, {costs.join_kb} kB", "", ""),
    )  # fmt: skip
    lines = [[f"{cell:g} µs" if isinstance(cell, float | int) else cell for cell in row] for row in rows]
    head, *others = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([head, "|" + "-|" * len(rows[0]), *others])


def table(costs: Costs, loads: Mapping[str, Load]) -> str:
    """Return what each load needs, as Markdown."""
    head = (
        "load", "publishes, deliveries a second", "gateways reached by a publish", "gateways, cores in use, MB of each",
        "stores, cores in use", "cores of PostgreSQL",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "-|" * len(head)]
    for name, load in loads.items():
        found = need(costs, load)
        cells = (
            name,
            f"{load.publishes:,.0f}, {load.deliveries:,.0f}",
            f"{found.reached:.1f}",
            f"{found.gateways}, {found.gateway_cores:.1f}, {found.gateway_mb:.0f}",
            f"{found.stores}, {found.store_cores:.1f}",
            f"{found.postgres_cores:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(prices(MEASURED), table(MEASURED, LOADS), sep="\n\n")
