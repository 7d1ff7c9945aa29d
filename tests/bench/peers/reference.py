"""The machine's yardstick: a C program that stores nothing, checks nothing and does one ``send`` a delivery."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator

from bench.case import Tools
from bench.peers.peer import PeerServer, process
from bench.servers.server import Server
from notifyx_local.ports import free_port


class Reference:
    """The program ``reference.c``, which is compiled with the load clients."""

    def fetch(self, say: Callable[[str], None]) -> None:
        """Do nothing."""

    @contextlib.contextmanager
    def running(self, tools: Tools, cores: Collection[int]) -> Iterator[Server]:
        """Run it."""
        port = free_port()
        with process([tools.programs["reference"], str(port)], port, cores) as pid:
            yield PeerServer("bare", port, pid)
