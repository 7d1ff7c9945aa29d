"""Names, addresses and folders of one cluster, fixed before anything starts.

The machines are on a bridge of their own (10.200.0.0/24): ``cp``, the control plane, at .1, and ``node1`` to
``nodeN`` at .11 and up. Pods get 10.244.N.0/24, Services 10.96.0.0/16.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONTROL_PLANE = "cp"
CONTROL_PLANE_IP = "10.200.0.1"
SERVICE_RANGE = "10.96.0.0/16"
DNS_IP = "10.96.0.10"
POD_RANGE = "10.244.0.0/16"
MACHINE_RANGE = "10.200.0.0/24"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one cluster is. ``api_port`` and ``ingress_port`` are this machine's, on loopback."""

    folder: Path
    binaries: Path
    nodes: tuple[str, ...]
    api_port: int
    ingress_port: int
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
    def cgroup(self) -> str:
        """The cgroup below which all of the cluster runs, in every hierarchy."""
        return f"/{self.prefix}"

    def netns(self, machine: str) -> str:
        """The network namespace of a machine."""
        return f"{self.prefix}-{machine}"

    def ip(self, machine: str) -> str:
        """The address of a machine on the bridge."""
        return CONTROL_PLANE_IP if machine == CONTROL_PLANE else f"10.200.0.{10 + self.number(machine)}"

    def pods(self, node: str) -> str:
        """The addresses of a node's pods."""
        return f"10.244.{self.number(node)}.0/24"

    def number(self, node: str) -> int:
        """1 for ``node1``."""
        return int(node.removeprefix("node"))

    def state(self, machine: str) -> Path:
        """What a machine keeps: its disks."""
        return self.folder / "machines" / machine
