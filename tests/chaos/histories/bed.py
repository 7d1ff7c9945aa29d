"""A platform under test on this machine: several nodes of each service, links between any two, and a mail sink."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import psutil

from chaos.histories.clocked import set_clock
from chaos.histories.disk import MIN_FREE, full, keep_small, small_disk
from chaos.histories.links import Link
from chaos.histories.node_links import NODES, NodeLinks, names
from chaos.histories.plan import PAUSES, Bus, FaultPlan, Standbys
from chaos.histories.replicas import Replicas
from chaos.histories.sink import Sink, running_sink
from chaos.histories.targets import Targets, of_machine
from chaos.histories.wiring import Wiring
from notifyx_common.contracts.registry import LIST_LEASES
from notifyx_local.postgres import USER
from support.memcached import Memcached, running_memcached
from support.nats import NatsServer, running_nats
from support.patience import PATIENCE
from support.platform import Platform, eventually, hung, ledger, running_platform
from support.run_folder import run_folder

VARIABLES = {
    "gateway": {
        "NOTIFYX_TOPIC_BURST": "100000",
        "NOTIFYX_TOKEN_BURST": "100000",
        "NOTIFYX_STREAM_KEEP_ALIVE": "2",
        "NOTIFYX_MAIL_LEASE_SECONDS": "30",
    },
    "auth": {"NOTIFYX_ACCESS_TOKEN_SECONDS": "20"},
    "store": {
        "NOTIFYX_STORAGE_MIN_FREE": str(MIN_FREE),
        "NOTIFYX_MAX_TOPICS": "1000000",
        "NOTIFYX_RETENTION_EVERY": "1",
        "NOTIFYX_MAIL_RETRY_BASE": "0.5",
    },
}
"""Limits that many histories would meet, and times that are short enough to come in a history."""

SETTLE = 100.0
"""Seconds in which everything has to come after the faults: the lease of an email that died with a gateway has 30."""

HEALTH_ANSWER = 5.0
"""Seconds in which a service that is well answers."""

RESTART_AFTER = 1.0
"""Seconds until a killed memcached or NATS, which nobody supervises, is started again."""


@dataclass(frozen=True, slots=True)
class Bed:
    """A running platform, and what can be done to it."""

    platform: Platform
    links: dict[str, Link]
    database: str
    """The store's, past all links, by a superuser's URL."""
    mails: Sink
    memcached: Memcached
    clocks: dict[str, Path]
    disk: bool
    """Whether its disk is its own, and can be filled."""
    api: str
    socket: str
    """Where clients reach it, through a link."""
    registries: tuple[str, ...]
    """Where each gateway lists the nodes that it knows."""
    programs: dict[str, Path]
    """The files that name the folders of the services' programs, where nodes are started as programs."""
    without: Path
    """The file that names the protection which nodes are started without."""
    replicas: Replicas | None
    """Its PostgreSQL, where that has standbys."""
    nats: NatsServer | None
    """Its bus of wake-ups, where that is NATS."""

    run = ""
    settle = SETTLE
    pauses = PAUSES

    async def ledger(self) -> dict[str, Any]:
        """Return the store's ledger."""
        return await ledger(self.platform)

    async def outbox_is_filled(self) -> bool:
        """Return whether there is an email for all that was published and is to be mailed: it follows a publish."""
        connection = await asyncpg.connect(self.database, timeout=PATIENCE)
        try:
            behind = "SELECT EXISTS (SELECT FROM topics WHERE email_seq < last_seq AND kind <> 'deleted')"
            return (await connection.fetchval(behind)) is False
        finally:
            await connection.close()

    @property
    def targets(self) -> Targets:
        """What faults it can have."""
        processes = {service: tuple(names(service)) for service in NODES}
        processes |= {"postgres": ("postgres",), "memcached": ("memcached",)}
        if self.nats is not None:
            processes["nats"] = ("nats",)
        return of_machine(
            processes,
            sorted(self.links),
            clocks=sorted(self.clocks),
            disk=self.disk,
            standbys=self.replicas is not None,
        )

    async def fail(self, plan: FaultPlan) -> None:
        """Inject a fault, and return when it is over."""
        match plan.fault:
            case "kill" | "drain":
                await self._end(plan.target, signal.SIGKILL if plan.fault == "kill" else signal.SIGTERM)
            case "rolling":
                if (program := self.programs.get(plan.target)) is not None:
                    program.write_text(str(Path(sys.executable).parent))
                for name in names(plan.target):
                    await self._end(name, signal.SIGTERM)
                    if program is not None:
                        await self.healthy()
            case "pause":
                with self._paused(plan.target):
                    await asyncio.sleep(plan.seconds)
            case "clock":
                set_clock(self.clocks[plan.target], plan.amount)
                try:
                    await asyncio.sleep(plan.seconds)
                finally:
                    set_clock(self.clocks[plan.target], 0.0)
            case "failover" if self.replicas is not None:
                await self.replicas.fail_over(plan.seconds)
            case "switchover" if self.replicas is not None:
                await self.replicas.switch_over()
            case "full":
                with full(self.platform.data):
                    await asyncio.sleep(plan.seconds)
            case _:
                with self.links[plan.target].fault(plan.fault, plan.amount):
                    await asyncio.sleep(plan.seconds)

    async def take_out(self, protection: str) -> None:
        """Start all nodes again without a protection."""
        self.without.write_text(protection)
        # The gateways first, which the others register with: without the protection they may do so only once.
        for services in (("gateway",), tuple(service for service in NODES if service != "gateway")):
            await asyncio.gather(*(self._end(name, signal.SIGKILL) for service in services for name in names(service)))
            await eventually(self._listed)
        await self.healthy()

    async def _listed(self) -> bool:
        """Return whether each gateway answers which nodes it knows."""
        with contextlib.suppress(aiohttp.ClientError, OSError, KeyError, ValueError):
            for registry in self.registries:
                await self._knows_all(registry)
            return True
        return False

    async def keep_logs(self, folder: Path) -> None:
        """Copy the logs of its processes to ``folder``."""
        shutil.copytree(self.platform.data / "logs", folder, dirs_exist_ok=True)
        for log in self.replicas.logs if self.replicas is not None else ():
            shutil.copy(log, folder / f"{log.parent.name}.log")

    async def _end(self, name: str, number: signal.Signals) -> None:
        if (server := self._unsupervised(name)) is not None:
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(RESTART_AFTER)
            await asyncio.to_thread(server.start)
            return
        if name == "postgres" and self.replicas is not None:
            await self.replicas.restart()
            return
        with contextlib.suppress(KeyError, ProcessLookupError):  # another fault may have ended it just now
            ended = self.platform.kill(name, number)

            async def replaced() -> bool:
                return self.platform.running().get(name, ended) != ended

            await eventually(replaced)

    @contextlib.contextmanager
    def _paused(self, name: str) -> Iterator[None]:
        """Hang a process, unless another fault has just ended it."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(KeyError, psutil.NoSuchProcess):
                stack.enter_context(hung(self._pid(name)))
            yield

    def _pid(self, name: str) -> int:
        """Return the process called ``name``. Raises :class:`KeyError` where there is none now."""
        if (server := self._unsupervised(name)) is not None:
            if (running := server.process) is None:
                raise KeyError(name)
            return running.pid
        if name == "postgres" and self.replicas is not None:
            return self.replicas.pid
        return self.platform.pid(name)

    def _unsupervised(self, name: str) -> Memcached | NatsServer | None:
        return {"memcached": self.memcached, "nats": self.nats}.get(name)

    async def healthy(self) -> None:
        """Wait until all services run and answer, and each gateway knows all nodes. Raises :class:`TimeoutError`."""
        expected = {name for service in NODES for name in names(service)}
        if self.replicas is None:
            expected.add("postgres")

        async def well() -> bool:
            if not expected <= self.platform.running().keys():
                return False
            if self.replicas is not None and not await self.replicas.complete():
                return False
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, AssertionError):
                timeout = aiohttp.ClientTimeout(total=HEALTH_ANSWER)
                async with (
                    aiohttp.ClientSession(timeout=timeout) as session,
                    session.get(f"{self.platform.gateway}/readyz") as response,
                ):
                    if response.status != 200:
                        return False
                async with asyncio.timeout(HEALTH_ANSWER):
                    await ledger(self.platform)
                    return all([await self._knows_all(url) for url in self.registries])
            return False

        await eventually(well)

    async def _knows_all(self, registry: str) -> bool:
        headers = self.platform.internal_headers("gateway")
        async with aiohttp.ClientSession() as session, session.get(registry, headers=headers) as response:
            known = Counter(node["service"] for node in (await response.json())["nodes"])
        return known == Counter(NODES)


@contextlib.asynccontextmanager
async def running_bed(
    seed: str, older: Path | None = None, *, standbys: Standbys = "none", bus: Bus = "postgres"
) -> AsyncIterator[Bed]:
    """Run a platform; ``seed`` is that of what links do at random. Raises :class:`AssertionError` if that fails.

    ``older``: a checkout whose programs it begins with, until a service restarts in order. ``standbys``: those of its
    PostgreSQL. ``bus``: what wakes its stores.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bed-", dir=run_folder())))
        folder.chmod(0o755)
        sink, smtp = await stack.enter_async_context(running_sink())
        memcached = stack.enter_context(running_memcached())
        nats = stack.enter_context(running_nats(folder)) if bus == "nats" else None
        wires = NodeLinks(folder, seed, bus=nats.port if nats is not None else 0)
        memcached_port = await wires.add(stack, "memcached", "127.0.0.1", memcached.port)
        smtp_port = await wires.add(stack, "smtp", "127.0.0.1", smtp)
        without = folder / "without"
        without.touch()
        variables = {service: {**VARIABLES.get(service, {}), "CHAOS_WITHOUT": str(without)} for service in NODES}
        replicas, external = None, [f"--bus={nats.url if nats is not None else ''}"]
        if standbys != "none":
            replicas = Replicas(
                Link("service", Random()), wires.link("replication"), synchronous=standbys == "synchronous"
            )
            await stack.enter_async_context(replicas.running(folder / "servers"))
            external.append(f"--postgres={replicas.url}")
            (folder / "data").mkdir()
            pages = urlsplit(replicas.read_url)._replace(path="/notifyx_store").geturl()
            variables["store"]["NOTIFYX_READ_REPLICA_URL"] = pages
        programs: dict[str, Path] = {}
        if older is not None:
            programs = {service: folder / f"{service}.program" for service in NODES}
            for program in programs.values():
                program.write_text(str(older.resolve() / ".venv" / "bin"))
        wiring = Wiring(
            nodes=await wires.nodes(stack),
            variables=variables,
            upstreams=str(folder / "upstreams.json"),
            programs={service: str(program) for service, program in programs.items()},
        )
        wiring_file = folder / "wiring.json"
        wiring_file.write_text(wiring.model_dump_json())
        counts = [f"--{service}s={count}" for service, count in NODES.items()]
        disk = replicas is None and stack.enter_context(small_disk(folder / "data"))
        running = running_platform(
            *counts, f"--wiring={wiring_file}", f"--memcached=127.0.0.1:{memcached_port}",
            f"--smtp=smtp://127.0.0.1:{smtp_port}", *external, data=folder / "data", module="chaos.histories.wired_up",
        )  # fmt: skip
        platform = await asyncio.to_thread(running.__enter__)
        stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        if replicas is not None:
            server = replicas.url
        else:
            password = (platform.data / "postgres-password").read_text().strip()
            server = f"postgresql://{USER}:{password}@127.0.0.1:{wires.upstreams().postgres}/postgres"
        if disk:
            await keep_small(server)
        ready = platform.ready
        port = int(str(ready["gateway"]).rpartition(":")[2])
        socket_port = int(str(ready["socket"]).rpartition(":")[2].partition("/")[0])
        api = await wires.add(stack, "client", "127.0.0.1", port)
        socket = await wires.add(stack, "client", "127.0.0.1", socket_port)
        yield Bed(
            platform=replace(platform, memcached=memcached),
            links=wires.links,
            database=f"{server.removesuffix('postgres')}notifyx_store",
            mails=sink,
            disk=disk,
            memcached=memcached,
            clocks=wires.clocks,
            api=f"http://127.0.0.1:{api}/api/v1",
            socket=f"ws://127.0.0.1:{socket}/socket",
            programs=programs,
            without=without,
            replicas=replicas,
            nats=nats,
            registries=tuple(f"http://127.0.0.1:{own}{LIST_LEASES.path}" for own in wires.upstreams().registries),
        )
