"""A real memcached for tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from notifyx_common.background import Background
from notifyx_common.caching.memcached import Memcached as Client
from notifyx_common.caching.memcached import parse_servers
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_local.accounts import can_reach
from notifyx_local.ports import free_port
from support.child import child
from support.debian import program
from support.listening import Server, wait_until_listening
from support.patience import PATIENCE

KEY = b"the key that seals what tests store"


@dataclass(slots=True)
class Memcached(Server):
    """A running one, or one that was killed."""

    command: list[str]
    env: dict[str, str]
    port: int
    account: str | None = None
    """Who runs it; ``None``: the current user."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``, as the setting takes it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections. It ends with this process."""
        self.process = child(
            [*self.command, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "32"],
            account=self.account, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until_listening(self.process, self.port, lambda: "memcached did not start")


@contextlib.contextmanager
def running_memcached(certificate: Path | None = None, key: Path | None = None) -> Iterator[Memcached]:
    """A running server; skips the test with the reason where none can be had.

    It speaks TLS with ``certificate`` and ``key``: PEM files that its account may read.
    """
    server = _server()
    if certificate is not None:
        server.command += ["-Z", "-o", f"ssl_chain_cert={certificate},ssl_key={key}"]
    server.start()
    try:
        yield server
    finally:
        server.kill()


def client(
    servers: Sequence[tuple[str, int]],
    *,
    timeout: float = PATIENCE,
    key: bytes = KEY,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    tls: ssl.SSLContext | None = None,
) -> Client:
    """A client of these servers. A busy machine may take its time, except where time is what is tested."""
    metrics, clock = metrics or Metrics(), clock or SystemClock()
    return Client(
        servers,
        key=key,
        clock=clock,
        security=SecurityLog(metrics, clock),
        background=Background(metrics),
        timeout=timeout,
        tls=tls,
    )


@contextlib.asynccontextmanager
async def connected(
    *servers: Memcached,
    timeout: float = PATIENCE,
    key: bytes = KEY,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[Client]:
    """A client that has reached every server."""
    addresses = parse_servers(",".join(one.address for one in servers))
    async with client(addresses, timeout=timeout, key=key, clock=clock, metrics=metrics) as shared:
        async with asyncio.timeout(PATIENCE):
            while len(shared.available) < len(servers):
                await asyncio.sleep(0.01)
        yield shared


def _server() -> Memcached:
    found = program("memcached", "memcached", dependencies=True)
    if os.geteuid() != 0:
        return Memcached([found.path], found.env, free_port())
    if can_reach("nobody", Path(found.path)):
        return Memcached([found.path], found.env, free_port(), "nobody")
    # With `-u nobody` it would change the account itself, and no longer end with this process.
    return Memcached([found.path, "-u", "root"], found.env, free_port())
