"""What a machine must have so that a cluster can live in its network namespaces."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from cluster.provider import Families

PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "ethtool": "ethtool",
    "socat": "socat",
}
"""Programs, and the Debian packages they come from."""

CAP_SYS_ADMIN, CAP_NET_ADMIN = 21, 12


def why_not(families: Families) -> str | None:
    """Why no cluster can live here, as a sentence; ``None`` when one can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "network namespaces need Linux on x86-64."
    if os.geteuid() != 0 or not _capable(CAP_SYS_ADMIN, CAP_NET_ADMIN):
        return "making network namespaces takes root with CAP_SYS_ADMIN and CAP_NET_ADMIN."
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not Path("/usr/lib/cni/bridge").exists():
        missing.append("containernetworking-plugins")
    if missing:
        return f"packages are missing: apt-get install --no-install-recommends {' '.join(missing)}"
    if families is not Families.IPV4 and not Path("/proc/sys/net/ipv6").exists():
        return "this machine has no IPv6; NOTIFYX_CLUSTER_FAMILIES=ipv4 asks for a cluster without it."
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    if not any(kind == "cgroup" and "memory" in options.split(",") for _, _, kind, options, *_ in mounts):
        return "this way was only made for cgroup version 1, and this machine has version 2; use kind."
    return None


def _capable(*numbers: int) -> bool:
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return all(effective >> number & 1 for number in numbers)
