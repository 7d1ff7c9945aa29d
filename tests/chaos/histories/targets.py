"""What a platform under test offers to faults: the targets of each kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from chaos.histories.events import Record

FaultKind = Literal[
    "kill", "pause", "drain", "rolling", "cut", "stall", "stall_answers", "delay", "lossy", "corrupt", "clock", "full",
    "failover", "switchover", "remove", "stale", "scale",
]  # fmt: skip

OF_CLUSTERS: tuple[FaultKind, ...] = ("remove", "stale", "scale")
"""Kinds that only a platform in a Kubernetes cluster has."""

SERVICES = ("gateway", "store", "auth", "mailer")

DISK = "disk"
"""The target of what fills it."""

POSTGRES = "postgres"
"""The target of what replaces the primary by a standby."""


SHARED = (POSTGRES, "memcached", "nats")
"""What the services share, where a platform has it."""


class Targets(Record):
    """The faults that a platform can have: by kind, the names of what they can be done to."""

    by_kind: dict[FaultKind, tuple[str, ...]]

    def of(self, kind: FaultKind) -> tuple[str, ...]:
        """Return what a fault of ``kind`` can be done to; nothing where the platform cannot have one."""
        return self.by_kind.get(kind, ())

    def having(self, text: str) -> Targets:
        """Return those with ``text`` in their names."""
        return Targets(
            by_kind={kind: tuple(name for name in names if text in name) for kind, names in self.by_kind.items()}
        )


def of_machine(
    processes: Mapping[str, Sequence[str]],
    links: Sequence[str],
    *,
    clocks: Sequence[str] = (),
    disk: bool = False,
    standbys: bool = False,
) -> Targets:
    """Return what a platform on one machine offers.

    ``processes``: by service, those of PostgreSQL, memcached and NATS among them; ``links``: between them;
    ``clocks``: of nodes that have one of their own; ``disk``: it can be filled; ``standbys``: PostgreSQL can fail over.
    """
    nodes = tuple(name for service in SERVICES for name in processes.get(service, ()))
    everything = nodes + tuple(name for service in SHARED for name in processes.get(service, ()))
    ways = tuple(links)
    return Targets(
        by_kind={
            "kill": everything,
            "pause": everything,
            "drain": nodes,
            "rolling": tuple(service for service in SERVICES if processes.get(service)),
            "cut": ways,
            "stall": ways,
            "stall_answers": ways,
            "delay": ways,
            "lossy": ways,
            "corrupt": tuple(link for link in ways if link == "memcached"),
            "clock": tuple(clocks),
            "full": (DISK,) if disk else (),
            "failover": (POSTGRES,) if standbys else (),
            "switchover": (POSTGRES,) if standbys else (),
        }
    )
