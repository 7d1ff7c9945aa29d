"""Names, addresses and folders of one cluster, fixed before anything starts.

The machines are on a bridge of their own: ``cp``, the control plane, and ``node1`` to ``nodeN``. Their addresses, and
those of pods and Services, follow from the IP families (:mod:`cluster.namespaces.addresses`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.namespaces.addresses import Ranges, ranges_of
from cluster.provider import Families

CONTROL_PLANE = "cp"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one cluster is. ``api_port`` and ``ingress_port`` are this machine's, on loopback."""

    folder: Path
    binaries: Path
    nodes: tuple[str, ...]
    api_port: int
    ingress_port: int
    families: Families
    bridge: str = "br0"
    prefix: str = "nxc"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, for use on this machine."""
        return self.pki / "host-admin.conf"

    @property
    def machines(self) -> tuple[str, ...]:
        return (CONTROL_PLANE, *self.nodes)

    @property
    def ranges(self) -> tuple[Ranges, ...]:
        """The addresses of each of its IP families, the first family first."""
        return ranges_of(self.families)

    @property
    def cgroup(self) -> str:
        """The cgroup below which all of the cluster runs, in every hierarchy."""
        return f"/{self.prefix}"

    def netns(self, machine: str) -> str:
        """The network namespace of a machine."""
        return f"{self.prefix}-{machine}"

    def ips(self, machine: str) -> tuple[str, ...]:
        """The addresses of a machine on the bridge, one of each family."""
        if machine == CONTROL_PLANE:
            return tuple(one.control_plane for one in self.ranges)
        return tuple(one.node(self.number(machine)) for one in self.ranges)

    def ip(self, machine: str) -> str:
        """The address of a machine by which others reach it: that of the first family."""
        return self.ips(machine)[0]

    def pods(self, node: str) -> tuple[str, ...]:
        """The ranges of a node's pods, one of each family."""
        return tuple(one.node_pods(self.number(node)) for one in self.ranges)

    def number(self, node: str) -> int:
        """1 for ``node1``."""
        return int(node.removeprefix("node"))

    def state(self, machine: str) -> Path:
        """What a machine keeps: its disks."""
        return self.folder / "machines" / machine
