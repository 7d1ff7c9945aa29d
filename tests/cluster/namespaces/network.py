"""The wires: a bridge in the control plane's namespace, and a pair of interfaces for each node."""

from __future__ import annotations

import contextlib

from cluster.commands import run
from cluster.namespaces.addresses import IPV6_VERSION
from cluster.namespaces.layout import CONTROL_PLANE, Layout
from cluster.waiting import CommandFailed


def lay(layout: Layout) -> None:
    """Make the namespaces, the bridge, the wires and the routes between pods."""
    centre = layout.netns(CONTROL_PLANE)
    bridge = layout.bridge
    _ip("netns", "add", centre)
    _ip("-n", centre, "link", "set", "lo", "up")
    _ip("-n", centre, "link", "add", bridge, "type", "bridge")
    _address(layout, CONTROL_PLANE, bridge)
    _ip("-n", centre, "link", "set", bridge, "up")
    for node in layout.nodes:
        own = layout.netns(node)
        _ip("netns", "add", own)
        _ip("-n", own, "link", "set", "lo", "up")
        _ip("-n", centre, "link", "add", f"v-{node}", "type", "veth", "peer", "name", "eth0", "netns", own)
        _ip("-n", centre, "link", "set", f"v-{node}", "master", bridge, "up")
        _address(layout, node, "eth0")
        _ip("-n", own, "link", "set", "eth0", "up")
        for address in layout.ips(CONTROL_PLANE):
            _ip("-n", own, "route", "add", "default", "via", address)
    for node in layout.nodes:
        _route_pods(layout, CONTROL_PLANE, node)
        for other in layout.nodes:
            if other != node:
                _route_pods(layout, node, other)


def _address(layout: Layout, machine: str, interface: str) -> None:
    for address, family in zip(layout.ips(machine), layout.ranges, strict=True):
        # An address of IPv6 is looked for elsewhere first, and cannot be used meanwhile.
        at_once = ["nodad"] if family.machines.version == IPV6_VERSION else []
        words = ("addr", "add", f"{address}/{family.machines.prefixlen}", "dev", interface, *at_once)
        _ip("-n", layout.netns(machine), *words)


def _route_pods(layout: Layout, machine: str, node: str) -> None:
    for pods, address in zip(layout.pods(node), layout.ips(node), strict=True):
        _ip("-n", layout.netns(machine), "route", "add", pods, "via", address)


def connect(layout: Layout, node: str, *, up: bool) -> None:
    """Plug a node's wire in, or pull it out."""
    _ip("-n", layout.netns(CONTROL_PLANE), "link", "set", f"v-{node}", "up" if up else "down")


def clear(layout: Layout) -> None:
    """Remove all of it; what is not there is no error."""
    for machine in layout.machines:
        with contextlib.suppress(CommandFailed):
            _ip("netns", "del", layout.netns(machine))


def _ip(*words: str) -> None:
    run(["ip", *words])
