"""The wires: a bridge in the control plane's namespace, and a pair of interfaces for each node."""

from __future__ import annotations

import contextlib

from cluster.commands import run
from cluster.namespaces.layout import CONTROL_PLANE, CONTROL_PLANE_IP, Layout
from cluster.waiting import CommandFailed


def lay(layout: Layout) -> None:
    """Make the namespaces, the bridge, the wires and the routes between pods."""
    centre = layout.netns(CONTROL_PLANE)
    bridge = layout.bridge
    _ip("netns", "add", centre)
    _ip("-n", centre, "link", "set", "lo", "up")
    _ip("-n", centre, "link", "add", bridge, "type", "bridge")
    _ip("-n", centre, "addr", "add", f"{CONTROL_PLANE_IP}/24", "dev", bridge)
    _ip("-n", centre, "link", "set", bridge, "up")
    for node in layout.nodes:
        own = layout.netns(node)
        _ip("netns", "add", own)
        _ip("-n", own, "link", "set", "lo", "up")
        _ip("-n", centre, "link", "add", f"v-{node}", "type", "veth", "peer", "name", "eth0", "netns", own)
        _ip("-n", centre, "link", "set", f"v-{node}", "master", bridge, "up")
        _ip("-n", own, "addr", "add", f"{layout.ip(node)}/24", "dev", "eth0")
        _ip("-n", own, "link", "set", "eth0", "up")
        _ip("-n", own, "route", "add", "default", "via", CONTROL_PLANE_IP)
    for node in layout.nodes:
        _ip("-n", centre, "route", "add", layout.pods(node), "via", layout.ip(node))
        for other in layout.nodes:
            if other != node:
                _ip("-n", layout.netns(node), "route", "add", layout.pods(other), "via", layout.ip(other))


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
