"""The links of a platform's nodes: each to the database and to each registry, and those to what nodes share."""

from __future__ import annotations

import contextlib
from pathlib import Path
from random import Random

from chaos.histories.clocked import set_clock
from chaos.histories.links import Address, Link, Upstream
from chaos.histories.wiring import NodeWiring, Upstreams, service_of
from notifyx_local.ports import free_port

NODES = {"gateway": 2, "store": 2, "auth": 2, "mailer": 2}


def names(service: str) -> list[str]:
    """Return the names of the nodes of ``service``."""
    return [f"{service}-{number}" for number in range(1, NODES[service] + 1)]


class NodeLinks:
    """Makes the links of a platform. ``bus`` is the port of its NATS; 0: it has none."""

    def __init__(self, folder: Path, seed: str, *, bus: int = 0) -> None:
        self.links: dict[str, Link] = {}
        self.clocks: dict[str, Path] = {}
        self._folder = folder
        self._seed = seed
        self._bus = bus

    def link(self, name: str) -> Link:
        """Return the link called ``name``, a new one if there is none."""
        return self.links.setdefault(name, Link(name, Random(f"{self._seed}:{name}")))

    async def add(self, stack: contextlib.AsyncExitStack, name: str, host: str, port: int) -> int:
        """Add a port of the link ``name`` that leads to ``host``:``port``; return it."""
        return await stack.enter_async_context(self.link(name).port("127.0.0.1", 0, lambda: (host, port)))

    async def nodes(self, stack: contextlib.AsyncExitStack) -> dict[str, NodeWiring]:
        """Make the links of all nodes."""
        wirings = {}
        for number, name in enumerate((name for service in NODES for name in names(service)), 1):
            service = service_of(name)
            clock = self._folder / f"{name}.clock"
            set_clock(clock, 0.0)
            clock.chmod(0o666)
            self.clocks[name] = clock
            if service == "gateway":
                wirings[name] = NodeWiring(clock=str(clock))
                continue
            port, host = free_port(), f"127.0.1.{number}"
            await stack.enter_async_context(self.link(name).port(host, port, _fixed(port)))
            database = 0
            if service in ("auth", "store"):
                database = await stack.enter_async_context(
                    self.link(f"{name}-postgres").port("127.0.0.1", 0, self._postgres)
                )
            with_bus = service == "store" and self._bus
            bus = await self.add(stack, f"{name}-nats", "127.0.0.1", self._bus) if with_bus else 0
            registries = [
                await stack.enter_async_context(
                    self.link(f"{name}-registry").port("127.0.0.1", 0, self._registry(place))
                )
                for place in range(NODES["gateway"])
            ]
            wirings[name] = NodeWiring(
                port=port, host=host, database=database, bus=bus, registries=tuple(registries), clock=str(clock)
            )
        return wirings

    def upstreams(self) -> Upstreams:
        """Return the ports that the platform chose. Raises :class:`OSError` before it has."""
        return Upstreams.model_validate_json((self._folder / "upstreams.json").read_bytes())

    def _postgres(self) -> Address:
        return "127.0.0.1", self.upstreams().postgres

    def _registry(self, place: int) -> Upstream:
        return lambda: ("127.0.0.1", self.upstreams().registries[place])


def _fixed(port: int) -> Upstream:
    return lambda: ("127.0.0.1", port)
