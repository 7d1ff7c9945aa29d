"""Cases about connections: what one costs, and what happens when all of them lose their gateway."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from bench.case import Cores, Tools, per_operation
from bench.figures import Readings
from bench.kinds.sockets import USERS, arguments
from bench.load import complete, running
from bench.machine import pss_kb
from bench.servers.own import Own, own_platform
from bench.servers.server import Server, front


@dataclass(frozen=True, slots=True)
class Connections:
    """Clients connect, prove who they are where there are users, and join a topic, 64 at a time."""

    count: int

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return how fast, and what the process that holds them needs for each."""
        if isinstance(server, Own):
            server.restart_gateway()
        topic = f"{tools.label}.c"
        server.topics(topic, 1)
        cores.pin(server)
        options = arguments(server, topic, mode="idle", connections=self.count)
        tokens = server.tokens(USERS)
        with running(tools.programs["loadclient"], options, tokens=tokens, cores=cores.client) as load:
            load.figures()
            before = pss_kb(front(server))
            found = load.measured(server.processes(), tools.observe)
            each = (pss_kb(front(server)) - before) / self.count
        return {**found, "kb_each": each, **per_operation(load.cpu, self.count)}


@dataclass(frozen=True, slots=True)
class Resume:
    """The gateway is killed. Its clients dial again as the phoenix client does, and join from the last seq they saw."""

    count: int

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return the seconds until all are back, and the statements that the store's database ran meanwhile."""
        platform = own_platform(server)
        count = min(self.count, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500)
        topic = f"{tools.label}.c"
        platform.topics(topic, 1)
        platform.count_statements()
        cores.pin(platform)
        options = arguments(platform, topic, mode="resume", connections=count)
        tokens = platform.tokens(USERS)
        with running(tools.programs["loadclient"], options, tokens=tokens, cores=cores.client) as load:
            load.figures()
            load.next()
            load.figures()
            before = platform.statements()
            platform.platform.kill("gateway")
            load.next()
            found = load.figures()
            statements = platform.statements() - before
        complete({**found, "closed": 0})
        return {**found, "statements_each": statements / count, "clients": float(count)}
