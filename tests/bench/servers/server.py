"""What a case sees of a server under load, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """A running server that the load client can talk to."""

    @property
    def dialect(self) -> str:
        """The protocol that the load client speaks to it."""
        ...

    @property
    def port(self) -> int:
        """The port of its socket."""
        ...

    def processes(self) -> Mapping[str, int]:
        """Return its processes by what they are; their children belong to them."""
        ...

    def tokens(self, count: int) -> Sequence[str]:
        """Return credentials of ``count`` users, in the form in which they travel; none where there are no users."""
        ...

    def topics(self, prefix: str, count: int) -> None:
        """Make the topics ``prefix.0``, ``prefix.1``, … ready."""
        ...


def front(server: Server) -> int:
    """Return the process that holds the connections."""
    processes = server.processes()
    return processes["gateway"] if "gateway" in processes else processes["server"]


Programs = Mapping[str, Path]
"""The compiled programs, by name."""
