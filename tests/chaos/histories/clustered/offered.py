"""The faults that a platform in a cluster can have. Pure."""

from __future__ import annotations

from chaos.histories.targets import SERVICES, FaultKind, Targets

NODE = "node"
"""What the names of machines begin with, as targets of faults."""

EACH = 2
"""Pods of each service of ours that are there when nothing fails."""

SCALED = ("gateway", "store", "mailer")
"""Services whose number of pods follows what topics declare."""

ISOLATED = ("gateway", "store", "auth", "mailer", "postgres", "memcached", "smtp")
"""Parts whose NetworkPolicy can be changed so that nothing may reach them; ``smtp`` is the mail server."""

SINGLE = ("postgres", "memcached")


def offered(nodes: int, *, machines: bool, policies: bool) -> Targets:
    """Return what faults can be done to where ``nodes`` machines may fail, called ``node-1`` and so on.

    ``machines``: processes of containers, machines and control plane can be reached; else only what the API server
    does. ``policies``: NetworkPolicies are enforced.
    """
    pods = tuple(f"{service}-{number}" for service in SERVICES for number in range(1, EACH + 1))
    everything = (*pods, *SINGLE, "operator")
    workers = tuple(f"{NODE}-{number}" for number in range(1, nodes + 1))
    by_kind: dict[FaultKind, tuple[str, ...]] = {
        "drain": (*pods, *workers),
        "remove": everything,
        "rolling": (*SERVICES, "operator"),
        "scale": SCALED,
    }
    cut: tuple[str, ...] = ISOLATED if policies else ()
    if machines:
        by_kind |= {"kill": (*everything, *workers), "pause": (*everything, *workers), "stale": pods}
        cut += workers
    return Targets(by_kind={**by_kind, "cut": cut})


def kind_of(target: str) -> str:
    """Return what a target is one of: ``store`` for ``store-1``, ``node`` for ``node-2``."""
    return target.partition("-")[0]
