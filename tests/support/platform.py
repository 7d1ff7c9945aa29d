"""The whole platform as its user runs it: ``notifyx up`` in a folder of its own, on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import psutil
import pytest

from notifyx_common.contracts.callers import Service, token_headers
from notifyx_common.contracts.registry import LIST_LEASES
from notifyx_common.contracts.store.ledger import LEDGER
from notifyx_common.principal import PRINCIPAL_HEADER, system_principal
from notifyx_local.ports import free_port
from support.child import child
from support.cluster_copy import copy_cluster
from support.forked import Forked, program
from support.memcached import Memcached, running_memcached
from support.patience import PATIENCE
from support.run_folder import run_folder

START_DEADLINE = 3 * PATIENCE
"""Seconds in which all processes of a platform start."""
PASSWORD = "correct horse battery"


class Served(Protocol):
    """A running platform, wherever it runs, as its users reach it."""

    @property
    def api(self) -> str:
        """Base URL of the REST API."""
        ...

    @property
    def socket(self) -> str:
        """URL of the socket endpoint, without ``/websocket``."""
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a running platform answers. ``process`` is ``notifyx up``; its children are the services."""

    data: Path
    ready: dict[str, Any]
    process: Forked | subprocess.Popen[bytes]
    memcached: Memcached | None = None
    """Its memcached, where it is one of the tests' own."""

    @property
    def gateway(self) -> str:
        """Base URL of the REST API's host."""
        return str(self.ready["gateway"])

    @property
    def api(self) -> str:
        """Base URL of the REST API."""
        return f"{self.gateway}/api/v1"

    @property
    def socket(self) -> str:
        """URL of the socket endpoint, without ``/websocket``."""
        return str(self.ready["socket"])

    @property
    def mailbox(self) -> str:
        """Base URL of the local mailbox."""
        return str(self.ready["mailbox"])

    @property
    def store_database(self) -> str:
        """URL of the store's database, for the store's own role."""
        password = json.loads((self.data / "secrets.json").read_text())["store_database"]
        port = int((self.data / "postgres" / "postmaster.pid").read_text().splitlines()[3])
        return f"postgresql://notifyx_store:{password}@127.0.0.1:{port}/notifyx_store"

    def log(self) -> str:
        """What it has logged."""
        return _log(self.data).read_text(errors="replace")

    def internal_token(self, caller: Service, called: Service) -> str:
        """The token of one service for another."""
        tokens: dict[str, str] = json.loads((self.data / "secrets.json").read_text())["internal_tokens"]
        return tokens[f"{caller}-{called}"]

    def internal_headers(self, called: Service, caller: Service = "gateway") -> dict[str, str]:
        """What one service shows another."""
        return token_headers(self.internal_token(caller, called))

    def running(self) -> dict[str, int]:
        """The process ids of what runs now, by name (``gateway``, ``store-1``, ``postgres``)."""
        state = json.loads((self.data / "state.json").read_text())
        return {name: int(process["pid"]) for name, process in state["processes"].items()}

    def pid(self, name: str) -> int:
        """The current process id of the process called ``name``."""
        return self.running()[name]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send ``number`` to the process called ``name``; the pid it had."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    async def replaced(self, killed: Mapping[str, int]) -> None:
        """Wait until other processes run by the names in ``killed`` than the pids there, and the gateway is ready."""

        async def back() -> bool:
            running = self.running()
            if any(running.get(name, pid) == pid for name, pid in killed.items()):
                return False
            with contextlib.suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession() as session, session.get(f"{self.gateway}/readyz") as response:
                    return response.status == 200
            return False

        await eventually(back, deadline=START_DEADLINE)

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Hang the process called ``name`` with all its children: it is there, and answers nothing."""
        with hung(self.pid(name)):
            yield

    async def keep_down(self, name: str, seen: asyncio.Task[Any]) -> None:
        """Until ``seen`` is done: what is started again within a second is killed each time."""
        while not seen.done():
            with contextlib.suppress(ProcessLookupError):
                self.kill(name)
            await asyncio.wait([seen], timeout=1)


@contextlib.contextmanager
def hung(pid: int) -> Iterator[None]:
    """Hang a process with all its children while the block is entered. Raises :class:`psutil.NoSuchProcess`."""
    process = psutil.Process(pid)
    stopped = [process, *process.children(recursive=True)]
    for one in stopped:
        one.suspend()
    try:
        yield
    finally:
        for one in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()


@contextlib.contextmanager
def running_platform(
    *arguments: str,
    data: Path | None = None,
    web: bool = False,
    interpreter: Path | None = None,
    module: str = "support.quick_up",
) -> Iterator[Platform]:
    """``notifyx up`` from ready to gone. Fails when a process is left behind.

    ``web``: with the web client, whose build would take the processor from tests that watch the time. It is forked,
    or started by ``interpreter``, which may be that of another checkout. ``module`` has its ``main``.
    """
    with contextlib.ExitStack() as stack:
        if data is None:
            temporary = tempfile.TemporaryDirectory(prefix="platform-", dir=run_folder())
            folder = Path(stack.enter_context(temporary))
            folder.chmod(0o755)
            data = folder / "data"
            data.mkdir()
            if interpreter is None:  # another checkout may have other tables
                copy_cluster(data)
        ready_file = data.parent / "ready.json"
        ready_file.unlink(missing_ok=True)
        ports = {name: free_port() for name in ("port", "socket-port", "mailbox-port", "smtp-port")}
        command = [
            "up", "--data", str(data), "--json-ready", str(ready_file), "--web" if web else "--no-web",
            *(part for name, port in ports.items() for part in (f"--{name}", str(port))), *arguments,
        ]  # fmt: skip
        log = _log(data)
        process: Forked | subprocess.Popen[bytes]
        if interpreter is None:
            process = program(module, os.environ, log, *command, output=True)
        else:
            with log.open("ab") as output:
                process = child(
                    [interpreter, "-m", "notifyx", *command], stdout=output, stderr=output, start_new_session=True
                )
        try:
            yield Platform(data, _wait_ready(process, ready_file, log), process)
        finally:
            started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE)
            finally:
                _, alive = psutil.wait_procs(started, timeout=PATIENCE)
                for left in alive:
                    left.kill()
            assert not alive, f"left behind: {[left.pid for left in alive]}"


small_platform = functools.partial(running_platform, "--mailers", "1")
"""A platform for tests that never lose a mailer: each process costs its start."""


@contextlib.contextmanager
def several_nodes() -> Iterator[Platform]:
    """Run a platform of which a gateway, a store, mailers and the memcached can be lost while the rest is there."""
    with contextlib.ExitStack() as stack:
        try:
            memcached = stack.enter_context(running_memcached())
        except pytest.skip.Exception:  # only the test that loses it is skipped
            memcached = None
        address = "none" if memcached is None else memcached.address
        nodes = ("--stores", "2", "--gateways", "2", "--mailers", "3", "--memcached", address)
        platform = stack.enter_context(running_platform(*nodes))
        yield replace(platform, memcached=memcached)


def _log(data: Path) -> Path:
    return data.parent / "up.log"


def _wait_ready(process: Forked | subprocess.Popen[bytes], ready_file: Path, log: Path) -> dict[str, Any]:
    until = time.monotonic() + START_DEADLINE
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"the platform did not start: {log.read_text()[-3000:]}")
        time.sleep(0.05)
    ready: dict[str, Any] = json.loads(ready_file.read_text())
    return ready


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-up user with an access token and an HTTP session that carries it."""

    id: str
    email: str
    token: str
    http: aiohttp.ClientSession
    api: str

    async def call(self, method: str, path: str, *, status: int | None = None, **options: Any) -> Any:
        """Call the API; asserts ``status`` when given, else that it succeeded."""
        async with self.http.request(method, f"{self.api}{path}", **options) as response:
            text = await response.text()
            if status is not None:
                assert response.status == status, f"{method} {path}: {response.status} {text}"
            else:
                assert response.ok, f"{method} {path}: {response.status} {text}"
            return json.loads(text) if text else None


@contextlib.asynccontextmanager
async def person(platform: Served, name: str) -> AsyncIterator[Person]:
    """Sign ``name`` up (once) and log in."""
    email = f"{name}@example.com"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:
        body = {"email": email, "password": PASSWORD, "name": name.title()}
        async with session.post(f"{platform.api}/users", json=body) as response:
            assert response.status in (201, 409), await response.text()
        form = {"grant_type": "password", "username": email, "password": PASSWORD}
        async with session.post(f"{platform.api}/token", data=form) as response:
            assert response.status == 200, await response.text()
            token = (await response.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get(f"{platform.api}/me", headers=headers) as response:
            me = await response.json()
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as own:
            yield Person(id=me["id"], email=email, token=token, http=own, api=platform.api)


async def eventually(check: Any, deadline: float = PATIENCE, pause: float = 0.05) -> Any:
    """Wait until the coroutine function ``check``, asked every ``pause`` seconds, returns something true: that."""
    async with asyncio.timeout(deadline):
        while not (found := await check()):
            await asyncio.sleep(pause)
        return found


async def ledger(platform: Platform) -> dict[str, Any]:
    """The store's ledger, read as another service does."""
    async with aiohttp.ClientSession() as session:
        async with session.get(
            f"{platform.gateway}{LIST_LEASES.path}", headers=platform.internal_headers("gateway")
        ) as response:
            nodes = (await response.json())["nodes"]
        headers = {**platform.internal_headers("store"), PRINCIPAL_HEADER: system_principal("dashboard").to_header()}
        # A node that was just killed is listed until its lease ends.
        for url in [node["url"] for node in nodes if node["service"] == "store"]:
            with contextlib.suppress(aiohttp.ClientConnectorError):
                async with session.get(f"{url}{LEDGER.path}", headers=headers) as response:
                    assert response.status == 200, await response.text()
                    books: dict[str, Any] = await response.json()
                    return books
        raise AssertionError(f"no store answers: {nodes}")
