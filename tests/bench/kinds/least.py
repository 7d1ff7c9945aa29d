"""The least that each step of an operation costs on this machine, whoever does it: what no program is faster than."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import uvloop

from bench.case import Cores, Tools
from bench.figures import Readings
from bench.kinds.rest import RestLoad
from bench.machine import cpu_seconds, ended_children
from bench.servers.own import own_platform
from bench.servers.server import Server
from notifyx_common.calls.links import Links
from notifyx_common.contracts.call import Message
from notifyx_common.internal_tls import CallOptions

TABLE = "bench_least"
ROUTES = 900
"""Requests to the empty route: after a thousand the gateway ends a connection."""
PLAIN: CallOptions = {"ssl": True, "server_hostname": None}


@dataclass(frozen=True, slots=True)
class Least:
    """Each step alone, one at a time, ``times`` times: medians on the clock, and processor time."""

    times: int = 2000
    starts: int = 10

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Return the readings; ``.ms`` are medians, ``.us`` microseconds of processor time for each."""
        platform = own_platform(server)
        cores.pin(platform)
        route = RestLoad("empty route", ROUTES, connections=1).measure(tools, platform, cores)
        return {
            "wake_up.ms": _wake_up(self.times),
            "sync.ms": _sync(self.times),
            "route.ms": route["p50_ms"],
            "route.us": route["cpu.front"],
            **_start(self.starts),
            **uvloop.run(self._statements(platform.superuser, platform.processes()["postgres"])),
            **uvloop.run(self._calls(platform.platform.gateway)),
        }

    async def _statements(self, url: str, postgres: int) -> Readings:
        """Measure a statement that does nothing, and one row in a commit of its own, synced and not."""
        database = await asyncpg.connect(url)
        try:
            await database.execute(f"CREATE TABLE {TABLE} (number bigserial PRIMARY KEY, body text)")
            insert = f"INSERT INTO {TABLE} (body) VALUES ($1)"
            found = await self._each("statement", lambda: database.execute("SELECT 1"), postgres)
            found |= await self._each("commit", lambda: database.execute(insert, "x" * 200), postgres)
            await database.execute("SET synchronous_commit = off")
            found |= await self._each("unsynced", lambda: database.execute(insert, "x" * 200), postgres)
            await database.execute(f"DROP TABLE {TABLE}")
        finally:
            await database.close()
        return found

    async def _calls(self, url: str) -> Readings:
        """Measure a request on a connection of those that services call each other with."""
        links = Links()
        try:
            health = Message("/healthz", {}, None)
            return await self._each("call", lambda: links.exchange(url, "GET", health, {}, PLAIN))
        finally:
            links.close()

    async def _each(
        self, name: str, act: Callable[[], Awaitable[object]], other: int | None = None
    ) -> dict[str, float]:
        """Return the median of ``act``, the processor time of this process for each, and that of ``other``."""
        await act()
        taken, before = [], time.process_time()
        others = cpu_seconds(other) if other else 0.0
        for _ in range(self.times):
            start = time.perf_counter()
            await act()
            taken.append(time.perf_counter() - start)
        found = {f"{name}.ms": statistics.median(taken) * 1000}
        found[f"{name}.us"] = (time.process_time() - before) / self.times * 1e6
        if other:
            found[f"{name}.postgres_us"] = (cpu_seconds(other) - others) / self.times * 1e6
        return found


def _wake_up(times: int) -> float:
    """Return the milliseconds until a process runs that another one has written to: half of a round trip of a byte."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:  # echoes until the other end is closed
        here.close()
        while byte := there.recv(1):
            there.send(byte)
        os._exit(0)
    there.close()
    taken = []
    with here:
        for _ in range(times):
            start = time.perf_counter()
            here.send(b"x")
            here.recv(1)
            taken.append(time.perf_counter() - start)
    os.waitpid(child, 0)
    return statistics.median(taken) * 1000 / 2


def _sync(times: int) -> float:
    """Return the milliseconds of a write of 8 kB over what is there, and its sync, where the database is."""
    page = b"x" * 8192
    taken = []
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        file.write(page * times)
        os.fsync(file.fileno())
        for number in range(times):
            start = time.perf_counter()
            os.pwrite(file.fileno(), page, number * len(page))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def _start(times: int) -> Readings:
    """Measure an interpreter that does nothing."""
    taken, before = [], ended_children()
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        taken.append(time.perf_counter() - start)
    return {"python.ms": statistics.median(taken) * 1000, "python.us": (ended_children() - before) / times * 1e6}
