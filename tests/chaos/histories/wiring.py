"""How the services of a platform reach each other through links, as changes of their environments. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field

from chaos.histories.events import Record


class NodeWiring(Record):
    """A node's ports: its own (behind a link on ``host``), and those of its links to database, bus and registries."""

    port: int = 0
    host: str = ""
    database: int = 0
    bus: int = 0
    registries: tuple[int, ...] = ()
    clock: str = ""


class Wiring(Record):
    """The wiring of all nodes, further variables by service, and the file for what only the platform knows.

    ``programs``: by service, the file that names the folder of its program, where nodes are started as programs.
    """

    nodes: dict[str, NodeWiring]
    variables: dict[str, dict[str, str]]
    upstreams: str
    programs: dict[str, str] = Field(default_factory=dict)


class Upstreams(Record):
    """The ports behind the links that the platform chose itself."""

    registries: tuple[int, ...] = ()
    postgres: int = 0


def service_of(name: str) -> str:
    """Return the service of the node ``name``: ``store`` of ``store-1``."""
    return name.partition("-")[0]


def wired(environment: Mapping[str, str], name: str, wiring: Wiring, registries: Sequence[int]) -> dict[str, str]:
    """Return the environment of the node ``name``, which then reaches others, and is reached, through its links.

    ``registries``: the gateways' own ports; the first in the node's wiring is the link to the first of them.
    """
    node = wiring.nodes.get(name, NodeWiring())
    changed = {**environment, **wiring.variables.get(service_of(name), {})}
    if node.port:
        changed |= {"NOTIFYX_PORT": str(node.port), "NOTIFYX_ADVERTISE_HOST": node.host}
    if node.database and "NOTIFYX_DATABASE_URL" in changed:
        changed["NOTIFYX_DATABASE_URL"] = with_port(changed["NOTIFYX_DATABASE_URL"], node.database)
    if node.bus:
        changed["NOTIFYX_BUS_URL"] = with_port(changed["NOTIFYX_BUS_URL"], node.bus)
    if node.registries and "NOTIFYX_REGISTRY_URLS" in changed:
        urls = changed["NOTIFYX_REGISTRY_URLS"]
        for own, link in zip(registries, node.registries, strict=True):
            urls = urls.replace(f":{own}", f":{link}")
        changed["NOTIFYX_REGISTRY_URLS"] = urls
    if node.clock:
        changed |= {"CHAOS_SERVICE": service_of(name), "CHAOS_CLOCK": node.clock}
    return changed


def with_port(url: str, port: int) -> str:
    """Return ``url`` with another port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))
