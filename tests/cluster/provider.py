"""A real Kubernetes cluster for tests: one interface, whatever it is made of.

:func:`choose` finds by itself what this machine can do: kind where Docker runs and may run privileged containers,
else a control plane and nodes in network namespaces. A user's own cluster is taken by the name of its context.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

Say = Callable[[str], None]
"""Tells the person who waits what is going on, a line at a time."""


class NoCluster(Exception):
    """No cluster can be made here; the message is what a person can do about it."""


@dataclass(frozen=True, slots=True)
class Image:
    """A container image as an archive: ``name`` with its tag, as pods refer to it."""

    name: str
    archive: Path


class Families(StrEnum):
    """The IP families of a cluster's machines, pods and Services."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"
    """Both, IPv6 first: what has one address has one of IPv6."""


class Cluster(Protocol):
    """A running cluster."""

    @property
    def kubeconfig(self) -> Path:
        """An administrator's kubeconfig."""
        ...

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version."""
        ...

    @property
    def ingress(self) -> str:
        """Base URL of the ingress controller from this machine, on loopback."""
        ...

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the worker nodes."""
        ...

    def why_not(self, ability: str) -> str | None:
        """Why the cluster cannot do ``ability``; ``None`` when it can.

        ``power`` and ``cut`` of a node, ``network-policy``, and ``definitions`` of other projects.
        """
        ...

    def last_errors(self) -> list[str]:
        """The last errors that the daemons of the nodes logged, as far as they can be read from here."""
        ...

    def load(self, images: Sequence[Image], say: Say) -> None:
        """Make images known to every node."""
        ...

    def power_off(self, node: str) -> None:
        """End a node at once, as pulling its plug does."""
        ...

    def power_on(self, node: str) -> None:
        """Start a node that was powered off."""
        ...

    def cut_off(self, node: str) -> None:
        """Take a node off the network; what runs on it goes on."""
        ...

    def reconnect(self, node: str) -> None:
        """Put a node that was cut off back on the network."""
        ...

    def down(self, say: Say) -> None:
        """End the cluster and leave nothing of it behind."""
        ...


def choose(
    *, context: str = "", way: str = "", families: Families | None = None, images: Sequence[Image] = (), say: Say
) -> Cluster:
    """A running cluster that knows ``images``: started if none of ours runs yet.

    ``context`` names one of the user's own; ``way`` is ``kind`` or ``namespaces`` where only that one will do, and
    ``families`` are those of IP where only they will do. Raises :class:`NoCluster` with the reason of each way.
    """
    if context:
        from cluster import existing  # noqa: PLC0415 - a way is only looked at when it is tried

        found = existing.open_cluster(context)
        found.load(images, say)
        return found
    reasons = []
    for name, module in _ways(way).items():
        try:
            return module.open_cluster(images, families, say)
        except NoCluster as error:
            reasons.append(f"{name}: {error}")
    raise NoCluster("No Kubernetes cluster can be made on this machine.\n  " + "\n  ".join(reasons))


def running(way: str = "") -> Cluster | None:
    """The cluster of ours that runs, if one does."""
    return next((found for module in _ways(way).values() if (found := module.find_cluster()) is not None), None)


class _Way(Protocol):
    """A module that makes clusters."""

    def open_cluster(self, images: Sequence[Image], families: Families | None, say: Say) -> Cluster: ...

    def find_cluster(self) -> Cluster | None: ...


def _ways(way: str) -> dict[str, _Way]:
    from cluster import kind  # noqa: PLC0415 - the ways import this module
    from cluster.namespaces import cluster as namespaces  # noqa: PLC0415

    ways: dict[str, _Way] = {"kind": kind, "namespaces": namespaces}
    if way and way not in ways:
        raise NoCluster(f"NOTIFYX_CLUSTER is {way!r}; it can be {' or '.join(ways)}.")
    return {name: module for name, module in ways.items() if way in ("", name)}


def wanted_families() -> Families | None:
    """The IP families that ``NOTIFYX_CLUSTER_FAMILIES`` asks for; ``None``: any. Raises :class:`NoCluster`."""
    word = os.environ.get("NOTIFYX_CLUSTER_FAMILIES", "")
    try:
        return Families(word) if word else None
    except ValueError:
        raise NoCluster(f"NOTIFYX_CLUSTER_FAMILIES is {word!r}; it can be {', '.join(Families)}.") from None


def wanted_provider() -> str:
    """The way that ``NOTIFYX_CLUSTER`` asks for; empty: the first that works."""
    return os.environ.get("NOTIFYX_CLUSTER", "")
