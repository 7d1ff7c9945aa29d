"""The addresses of a cluster, by IP family: of its machines, pods and Services. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice

from cluster.provider import Families

Network = IPv4Network | IPv6Network
IPV6_VERSION = 6


@dataclass(frozen=True, slots=True)
class Ranges:
    """What one family has. ``each`` is the length of the prefix of one node's pods."""

    machines: Network
    pods: Network
    services: Network
    each: int

    @property
    def control_plane(self) -> str:
        """The control plane's address, by which nodes reach each other's pods and all of it."""
        return str(self.machines[1])

    @property
    def anywhere(self) -> str:
        """What a server listens on to be reached by all addresses; of IPv4 alone where this is IPv4."""
        return "::" if self.machines.version == IPV6_VERSION else "0.0.0.0"

    @property
    def kubernetes(self) -> str:
        """The address of the Service of the API server: the first one, as Kubernetes chooses it."""
        return str(self.services[1])

    @property
    def dns(self) -> str:
        """The address of the Service of DNS."""
        return str(self.services[10])

    def node(self, number: int) -> str:
        """The address of the node with this number."""
        return str(self.machines[10 + number])

    def node_pods(self, number: int) -> str:
        """The addresses of the pods of the node with this number."""
        return str(next(islice(self.pods.subnets(new_prefix=self.each), number, None)))


IPV4 = Ranges(
    machines=ip_network("10.200.0.0/24"), pods=ip_network("10.244.0.0/16"), services=ip_network("10.96.0.0/16"), each=24
)
IPV6 = Ranges(
    machines=ip_network("fd00:200::/64"),
    pods=ip_network("fd00:244::/56"),
    services=ip_network("fd00:96::/112"),
    each=64,
)


def ranges_of(families: Families) -> tuple[Ranges, ...]:
    """The ranges of a cluster with ``families``, those of its first family first."""
    match families:
        case Families.IPV4:
            return (IPV4,)
        case Families.IPV6:
            return (IPV6,)
        case Families.DUAL:
            return (IPV6, IPV4)


def listed(networks: Iterable[Network]) -> str:
    """Ranges as a setting lists them."""
    return ",".join(map(str, networks))


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address
