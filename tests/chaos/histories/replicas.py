"""PostgreSQL as CloudNativePG runs it: a primary, standbys, and one address that leads to the primary.

The address stands for the Service ``…-rw``: services and standbys use it, and a failover or a switchover moves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil

from chaos.histories.links import Address, Link
from notifyx_common.database import DRIVER_ERRORS
from notifyx_local.accounts import run_as
from notifyx_local.ports import free_port
from notifyx_local.postgres import USER, Cluster
from support.cluster_copy import copy_cluster
from support.patience import PATIENCE
from support.platform import eventually
from support.postgres import start

SETTINGS = {
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_keep_size": "64MB",
    "max_wal_size": "96MB",
    "wal_retrieve_retry_interval": "1s",
    "dynamic_shared_memory_type": "mmap",
}
"""CloudNativePG's time-outs, the interval that docs/production.md recommends, and few old segments of the log.

Shared memory is in the folder of the data, so that nothing of a server is left that was killed and is replaced.
"""

_RECEIVED = "SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn"
_RECEIVES = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)"
_STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = ANY ($1)"


@dataclass(eq=False)
class _Server:
    name: str
    cluster: Cluster
    process: subprocess.Popen[bytes] | None = None


class Replicas:
    """The servers. Connect to :attr:`url`; faults of replication are those of the link that it is given.

    ``synchronous``: each commit waits until one standby has it on disk. ``standbys``: how many there are.
    """

    def __init__(self, service: Link, replication: Link, *, synchronous: bool = True, standbys: int = 2) -> None:
        self._service = service
        self._replication = replication
        self._synchronous = synchronous
        self._names = [f"server{number}" for number in range(1, standbys + 2)]
        self._servers: list[_Server] = []
        self._primary: _Server | None = None
        self._ports = (0, 0)
        self._changing = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Replicas]:
        """Run the servers in ``folder`` while the block is entered; their data has the platform's databases."""
        async with self._service.port("127.0.0.1", 0, self._address) as port:
            to_primary = self._replication.port("127.0.0.1", 0, lambda: ("127.0.0.1", port))
            async with to_primary as replication:
                self._ports = port, replication
                try:
                    for name in self._names:
                        (folder / name).mkdir(parents=True)
                        (folder / name).chmod(0o755)
                    first = await asyncio.to_thread(copy_cluster, folder / self._names[0])
                    self._servers = [_Server(self._names[0], first)]
                    for name in self._names[1:]:
                        await asyncio.to_thread(shutil.copy, first.data.parent / "postgres-password", folder / name)
                        cluster = replace(first, data=folder / name / "postgres", port=free_port())
                        self._servers.append(_Server(name, cluster))
                    self._primary = self._servers[0]
                    await self._start(self._primary)
                    for server in self._standbys:
                        await self._follow(server)
                    await eventually(self.complete)
                    yield self
                finally:
                    self._primary = None
                    for server in self._servers:
                        _kill(server)

    @property
    def url(self) -> str:
        """URL of the primary's database ``postgres``, by a superuser."""
        return f"postgresql://{USER}:{self._servers[0].cluster.password}@127.0.0.1:{self._ports[0]}/postgres"

    @property
    def standby_urls(self) -> Sequence[str]:
        """URLs of the same database of each standby, past the address."""
        return [server.cluster.dsn() for server in self._standbys]

    @property
    def read_url(self) -> str:
        """URL of the same database that leads to any standby, past the address, as the Service ``…-ro`` does."""
        first, *others = (server.cluster.dsn() for server in self._servers)
        hosts = ",".join([urlsplit(first).netloc, *(urlsplit(other).netloc.rpartition("@")[2] for other in others)])
        return urlsplit(first)._replace(netloc=hosts).geturl()

    @property
    def pid(self) -> int:
        """The primary's process. Raises :class:`KeyError` while there is none."""
        if self._primary is None or self._primary.process is None:
            raise KeyError("postgres")
        return self._primary.process.pid

    @property
    def logs(self) -> Sequence[Path]:
        """The servers' logs, each in a folder with the server's name."""
        return [server.cluster.data.parent / "log" for server in self._servers]

    async def complete(self) -> bool:
        """Return whether there is a primary, and all others follow it."""
        with contextlib.suppress(*DRIVER_ERRORS, OSError):
            return bool(await _value(self.url, _STREAMING, self._names) == len(self._names) - 1)
        return False

    async def fail_over(self, seconds: float) -> None:
        """Kill the primary; after ``seconds``, in which that is noticed, promote a standby; then complete the servers.

        Raises :class:`TimeoutError`.
        """
        async with self._changing:
            lost = self._primary
            assert lost is not None
            _kill(lost)
            await asyncio.sleep(seconds)
            await self._promote(lost)
            await self._follow(lost)
            await eventually(self.complete)

    async def switch_over(self) -> None:
        """Stop the primary in order, promote a standby, and complete the servers. Raises :class:`TimeoutError`."""
        async with self._changing:
            old = self._primary
            assert old is not None
            assert old.process is not None
            self._primary = None
            old.process.send_signal(signal.SIGINT)
            await asyncio.to_thread(old.process.wait, PATIENCE)
            await self._promote(old)
            await self._follow(old)
            await eventually(self.complete)

    def kill_standbys(self) -> None:
        """Kill all standbys."""
        for server in self._standbys:
            _kill(server)

    async def start_standbys(self) -> None:
        """Start the standbys that were killed, with the data that they had, and wait until they follow."""
        for server in self._standbys:
            await self._start(server)
        await eventually(self.complete)

    async def restart(self) -> None:
        """Kill the primary, and start it again in its place."""
        async with self._changing:
            assert self._primary is not None
            _kill(self._primary)
            await self._start(self._primary)

    def _address(self) -> Address:
        if self._primary is None:
            raise ConnectionRefusedError("there is no primary")
        return "127.0.0.1", self._primary.cluster.port

    @property
    def _standbys(self) -> Sequence[_Server]:
        return [server for server in self._servers if server is not self._primary]

    async def _promote(self, lost: _Server) -> None:
        """Promote the standby that has received most, so that no commit that one of them confirmed is lost."""
        standbys = [server for server in self._servers if server is not lost]

        async def nobody_receives() -> bool:
            return not any([await _value(server.cluster.dsn(), _RECEIVES) for server in standbys])

        await eventually(nobody_receives)
        received = [(await _value(server.cluster.dsn(), _RECEIVED), place) for place, server in enumerate(standbys)]
        chosen = standbys[max(received)[1]]
        assert await _value(chosen.cluster.dsn(), f"SELECT pg_promote(true, {PATIENCE:.0f})")
        self._primary = chosen
        self._service.cut()

    async def _follow(self, server: _Server) -> None:
        """Let ``server`` begin as a standby, with a copy of the primary's data."""
        _kill(server)
        data = server.cluster.data
        parent = data.parent
        if data.exists():
            await asyncio.to_thread(shutil.rmtree, data)
        data.mkdir(mode=0o700)
        if server.cluster.account is not None:
            shutil.chown(data, server.cluster.account)
        command = [str(server.cluster.binaries / "pg_basebackup"), "-D", str(data), "-c", "fast", "-R", "-d", self.url]
        copied = await asyncio.to_thread(run_as, server.cluster.account, command, cwd=parent)
        if copied.returncode != 0:
            raise TimeoutError(f"pg_basebackup: {copied.stderr}")
        await self._start(server)

    async def _start(self, server: _Server) -> None:
        names = {"synchronous_standby_names": f"ANY 1 ({', '.join(self._names)})"} if self._synchronous else {}
        primary = f"host=127.0.0.1 port={self._ports[1]} user={USER} password={server.cluster.password}"
        options = {
            **SETTINGS, "cluster_name": server.name, "primary_conninfo": primary, **names,
        }  # fmt: skip
        server.process = await asyncio.to_thread(start, server.cluster, options)


def _kill(server: _Server) -> None:
    """Kill all processes of a server at once, as the loss of its machine does."""
    if server.process is None or server.process.poll() is not None:
        return
    postmaster = psutil.Process(server.process.pid)
    postmaster.suspend()  # it starts no more
    for process in [*postmaster.children(recursive=True), postmaster]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    server.process.wait(PATIENCE)


async def _value(url: str, query: str, *arguments: Any) -> Any:
    connection = await asyncpg.connect(url, timeout=PATIENCE)
    try:
        return await connection.fetchval(query, *arguments, timeout=PATIENCE)
    finally:
        connection.terminate()
