"""``notifyx up``: the whole platform on this machine, from nothing to ready, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.topics import AppliedAction
from notifyx_local.credentials import Secrets, load_secrets
from notifyx_local.databases import make_databases
from notifyx_local.options import (
    BadOption,
    Smtp,
    UpOptions,
    check_email,
    check_memcached,
    check_ports,
    check_prometheus,
    parse_smtp,
)
from notifyx_local.ports import free_port
from notifyx_local.postgres import prepare
from notifyx_local.stack import Folders, mailbox_spec, memcached_spec, node_names, postgres_spec, service_specs
from notifyx_local.supervisor import Supervisor, wait_until
from notifyx_local.topics import apply_topics, read_folder
from notifyx_local.web_build import SOURCE, BuildFailed, build_web, has_page
from notifyx_local.welcome import Web, welcome
from notifyx_topics.resource import Resource

log = get_logger(__name__)

DEFAULT_MEMCACHED = ("127.0.0.1", 11211)


class SupervisionEnded(NotifyxError):
    """What keeps the processes running has a defect; everything was stopped."""

    code = "supervision_ended"


class AlreadyRunning(NotifyxError):
    """Another run uses the data folder."""

    code = "already_running"


async def up(options: UpOptions, console: Console) -> None:
    """Start everything, say what to open, and wait for Ctrl-C. Raises :class:`NotifyxError` when it cannot start."""
    resources = read_folder(options.topics) if options.topics is not None else []
    local = Smtp("127.0.0.1", options.smtp_port, "none", sender=options.sender)
    smtp = parse_smtp(options.smtp, options.sender) if options.smtp else local
    check_memcached(options.memcached)
    check_prometheus(options.prometheus)
    check_email(options.admin_email)
    check_ports(options.local_ports)
    folders = Folders(options.data)
    _make_folders(folders)
    with _only_run(folders):
        secrets = load_secrets(folders.data)
        if options.json_ready is not None:
            options.json_ready.unlink(missing_ok=True)  # an earlier run's

        def tell(sentence: str) -> None:
            # Whoever read the output may be gone; that ends nothing.
            with contextlib.suppress(OSError, SystemExit):
                console.print(f"  {sentence}", markup=False)

        background = Background(Metrics())
        supervisor = Supervisor(folders.data / "state.json", background, tell)
        stop = _stop_on_signals(supervisor)
        background.listen(lambda _: None if stop.done() else stop.set_result(None))
        try:
            async with background.tasks() as tasks:
                building = tasks.shared("web client", _build_web(options, folders, tell))
                starting = tasks.shared(
                    "start", _start(options, folders, secrets, supervisor, resources, smtp, building, console)
                )
                await asyncio.wait([starting, stop], return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    await starting
                    await stop
        finally:
            console.print("Stopping ...", style="dim")
            await supervisor.stop()
            console.print("Stopped. Your data stays in", str(_as_typed(folders.data)), style="dim")
        if background.fault is not None:
            raise SupervisionEnded(background.fault.sentence)


async def _start(
    options: UpOptions,
    folders: Folders,
    secrets: Secrets,
    supervisor: Supervisor,
    resources: list[Resource],
    smtp: Smtp,
    building: asyncio.Task[Web],
    console: Console,
) -> None:
    def ready(name: str) -> None:
        console.print(f"  [green]ready[/green] {name}")

    console.print("Starting Notifyx ...")
    server = await _postgres(options, folders, supervisor)
    ready("postgres")
    passwords = {"auth": secrets.auth_database, "store": secrets.store_database}
    databases = await make_databases(server, passwords, own_roles=not options.postgres)
    memcached = await _memcached(options, folders, supervisor)
    if not options.smtp:
        await supervisor.start([mailbox_spec(folders, options)], ready)
    own_ports = [free_port() for _ in range(options.gateways)] if options.gateways > 1 else []
    specs = service_specs(
        folders, options, secrets, databases=databases, memcached=memcached, smtp=smtp, own_ports=own_ports
    )
    await supervisor.start(specs, ready)
    for url in [*(f"http://127.0.0.1:{port}" for port in own_ports), options.gateway_url]:
        await wait_until(partial(_objection, f"{url}/readyz"), 60, "The gateway")
    applied = await _apply(options, folders, secrets, resources) if options.topics is not None else []
    for done in applied:
        if done.error is not None:
            console.print(f"  [red]not applied[/red] topic {done.action.topic}: {done.error.reason}")
    if not building.done():
        console.print("  The services answer; waiting for the web client ...")
    web = await building
    if options.json_ready is not None:
        _write_ready(options)
    names = sorted({resource.name for resource in resources})
    folder = _as_typed(folders.data)
    console.print(welcome(options, web=web, topics=names, folder=folder, program=_program()))


async def _build_web(options: UpOptions, folders: Folders, tell: Callable[[str], None]) -> Web:
    """Build the web client while everything else starts; the platform runs on without it."""
    if not options.web:
        return Web(served=False, problem="switched off with --no-web")
    if not SOURCE.is_dir():
        return Web(served=False, problem="not part of this installation")
    try:
        await build_web(SOURCE, folders.logs / "web.log", tell)
    except BuildFailed as error:
        return Web(served=has_page(SOURCE), problem=error.reason)
    except Exception:
        # A defect of the build is no reason to end the platform.
        log.exception("the web client could not be built")
        return Web(served=has_page(SOURCE), problem="The web client could not be built.")
    return Web(served=True)


async def _postgres(options: UpOptions, folders: Folders, supervisor: Supervisor) -> str:
    """A URL that may create databases; our own server is started where none is given."""
    if options.postgres:
        return options.postgres
    cluster = await asyncio.to_thread(prepare, folders.data, free_port())
    await supervisor.start([postgres_spec(folders, cluster)])
    return cluster.dsn()


async def _memcached(options: UpOptions, folders: Folders, supervisor: Supervisor) -> str:
    """``host:port`` as given, of the machine's own, or of one we start; empty where there is none."""
    if options.memcached:
        return "" if options.memcached == "none" else options.memcached
    with contextlib.suppress(OSError), socket.create_connection(DEFAULT_MEMCACHED, timeout=0.2):
        return f"{DEFAULT_MEMCACHED[0]}:{DEFAULT_MEMCACHED[1]}"
    program = shutil.which("memcached")
    if program is None:
        return ""
    port = free_port()
    await supervisor.start([memcached_spec(folders, program, port)])
    return f"127.0.0.1:{port}"


async def _objection(url: str) -> str:
    """Why the service that answers at ``url`` is not ready; empty when it is."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            failed = (await response.json())["failed"]
            return "; ".join(f"{name}: {reason}" for name, reason in failed.items()).rstrip(".")
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        return "it does not answer"


async def _apply(
    options: UpOptions, folders: Folders, secrets: Secrets, resources: list[Resource]
) -> list[AppliedAction]:
    name = node_names("store", options.stores)[0]
    port = json.loads((folders.run / f"{name}.json").read_text())["port"]
    discovery = StaticDiscovery({"store": [Endpoint(name, f"http://127.0.0.1:{port}")]})
    async with ServiceClient(
        "store", discovery=discovery, token=secrets.internal_token, metrics=Metrics(), clock=SystemClock()
    ) as store:
        return await apply_topics(store, resources)


def _make_folders(folders: Folders) -> None:
    try:
        folders.make()
    except OSError as error:
        raise BadOption(
            f"The data folder {folders.data} cannot be made ({error.strerror}); choose another with --data."
        ) from None


@contextlib.contextmanager
def _only_run(folders: Folders) -> Iterator[None]:
    with open(folders.data / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(
                f"Notifyx already runs on {folders.data}; stop it, or choose another folder with --data."
            ) from None
        yield


def _stop_on_signals(supervisor: Supervisor) -> asyncio.Future[None]:
    """A future that Ctrl-C or SIGTERM fulfils; a second one kills everything at once."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def asked() -> None:
        if stop.done():
            supervisor.kill()
        else:
            stop.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked)
    return stop


def _program() -> str:
    """Return how a person here runs the command line."""
    if shutil.which("notifyx") is not None:
        return "notifyx"
    # A link in the path (.venv/bin/python) is not followed.
    return str(_as_typed(Path(sys.executable).with_name("notifyx")))


def _as_typed(path: Path) -> Path:
    """Return ``path`` as it is written below the working folder, where it is there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _write_ready(options: UpOptions) -> None:
    assert options.json_ready is not None
    ready: dict[str, Any] = {
        "pid": os.getpid(),
        "gateway": options.gateway_url,
        "socket": f"ws://127.0.0.1:{options.socket_port}/socket",
        "mailbox": None if options.smtp else f"http://127.0.0.1:{options.mailbox_port}",
        "smtp_port": None if options.smtp else options.smtp_port,
        "admin_email": options.admin_email,
        "data": str(options.data),
    }
    partial = options.json_ready.with_suffix(".partial")
    partial.write_text(json.dumps(ready, indent=1))
    partial.replace(options.json_ready)
