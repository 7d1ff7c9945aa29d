"""The lifecycle of a service: bind, start, register, serve, drain, stop.

Order of a stop (SIGTERM, SIGINT or a :class:`~notifyx_common.background.Fault`): readiness fails and the registration
is released, ``drain`` runs, the servers close, then the parts stop in reverse order. Each step has a timeout.
After a fault the process exits with :data:`FAULT_EXIT`, so that its supervisor starts it again.

Nodes of one service may share its ports on one machine. Each then also has a port of its own, which it registers,
and accepts connections on the shared ports from when it is ready until its stop begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Generic, Self, TypeVar

import uvloop
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from quart import Quart, Response

from notifyx_common import logs, security_log
from notifyx_common.background import Background, Fault, every
from notifyx_common.calls.registration import Registration
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.errors import NotifyxError
from notifyx_common.host_port import host_port
from notifyx_common.internal_tls import CHECK_INTERVAL, InternalTls
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_common.serving.answers import AnswerBudget, AnswerLimits, hold_answers
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_server import HttpServer
from notifyx_common.serving.http_turns import RequestTurns, peer_address
from notifyx_common.serving.rules import App
from notifyx_common.serving.web import Readiness, create_app
from notifyx_common.settings import ServiceSettings, load

log = get_logger(__name__)

S = TypeVar("S", bound=ServiceSettings)

MIN_GRACE = 3.0
"""Minimum time for requests in flight at a stop, in seconds, even after a long drain."""

FAULT_EXIT = 70
"""Exit code after a fault: an internal error (EX_SOFTWARE of sysexits.h)."""


class PortTaken(NotifyxError):
    """The port is in use; the sentence names it and the setting that changes it."""

    code = "port_taken"


YOUNG_OBJECTS = 5000
"""Objects that are made before the cyclic collector looks at the young ones."""

ALL_ADDRESSES = "::"
"""The host that stands for all addresses of both families."""

READY_POLL_INTERVAL = 0.05
"""Seconds between two checks of the readiness of a node that shares ports."""


class Node(Generic[S]):
    """One node of a service: what all nodes have, and the methods that :func:`run` calls.

    A service's ``app`` module has one subclass. Its constructor creates the parts in the order of their dependencies,
    then the routes, and starts nothing. :meth:`start` starts the parts; :meth:`drain` finishes requests of clients.

    Raises :class:`SettingsError` for files of internal TLS that cannot be used.
    """

    name: ClassVar[str]
    """Name of the service, as in discovery."""

    def __init__(self, settings: S, *, clock: Clock | None = None, metrics: Metrics | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.metrics = metrics or Metrics()
        self.instance = instance_name(settings)
        self.internal_tls = InternalTls.of(settings)
        if self.internal_tls is not None:
            self.internal_tls.observe(self.metrics)
        self.security = SecurityLog(self.metrics, self.clock)
        self.readiness = Readiness()
        self.background = Background(self.metrics)
        self.readiness.follow(self.background)
        self.http_limits = HttpLimits.of(settings)
        self.connections = Connections(
            "http_connections", self.http_limits, self.metrics, limit_of=self.connection_limit
        )
        self.turns = RequestTurns(self.client_address)
        self.metrics.observe_pool("http_turns", self.turns.usage)
        self.answers = AnswerBudget(AnswerLimits.of(settings), self.metrics)
        self.app = create_app(self.name, settings, self.metrics, self.readiness, self.security)
        hold_answers(self.app, self.answers)

    @contextlib.asynccontextmanager
    async def context(self) -> AsyncIterator[Self]:
        """Run all parts of the node while the block is entered."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.background)
            tasks = await stack.enter_async_context(self.background.tasks())
            tasks.endless("security log", every(security_log.WINDOW, self._flush_security_log))
            if self.internal_tls is not None:
                tasks.endless("internal TLS files", every(CHECK_INTERVAL, self.internal_tls.refresh))
            await self.start(stack)
            yield self

    async def _flush_security_log(self) -> None:
        self.security.flush()

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the parts, each entered on ``stack``, which stops them in reverse."""

    async def drain(self) -> None:
        """Finish the requests of clients; it is cancelled after ``settings.drain_seconds``."""

    async def join(self) -> None:
        """Accept connections on further shared ports; called once the node is ready, where ports are shared."""

    def tune_collector(self) -> None:
        """Let the cyclic collector leave out what lives as long as the process, and look less often at what is young.

        With the defaults, a node under load spends about a tenth of its time on it: each connection that joins makes
        some dozens of objects, so all objects are traversed every few thousand joins, and none of them is garbage.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 20)

    def connection_limit(self, peer: str) -> int | None:
        """Return how many HTTP connections ``peer`` may have; ``None`` if only their sum is limited."""
        return None

    def client_address(self, peer: str, forwarded_for: str | None) -> str:
        """Return the address of a client, whose HTTP requests take turns with those of others."""
        return peer_address(peer, forwarded_for)

    def http_server(
        self, sock: socket.socket, *, lifespan: bool = True, tls: ssl.SSLContext | None = None
    ) -> HttpServer:
        """Return a server of the app on ``sock``; one server of an app has its ``lifespan``."""
        return HttpServer(
            self.app,
            sock,
            limits=self.http_limits,
            connections=self.connections,
            turns=self.turns,
            lifespan=lifespan,
            tls=tls,
        )

    @property
    def extra_ports(self) -> dict[str, int]:
        """Further ports of the started node, by name."""
        return {}

    @property
    def own_port(self) -> int | None:
        """Port of this node alone if ``settings.port`` is shared with other nodes, else ``None``."""
        return None


def main(node: type[Node[S]], kind: type[S]) -> None:
    """Run ``node`` with the environment's settings (of ``kind``), in an event loop of its own.

    A failed start prints its reason in one sentence and exits with 2; a fault exits with :data:`FAULT_EXIT`.
    """

    async def serve_until_stopped(settings: S) -> Fault | None:
        return await run(node(settings))

    try:
        settings = load(kind)
        logs.configure(
            service=node.name, instance=instance_name(settings), level=settings.log_level, style=settings.log_format
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            fault = runner.run(serve_until_stopped(settings))
    except NotifyxError as error:
        print(error.reason, file=sys.stderr)  # noqa: T201 - for the person who starts it
        sys.exit(2)
    if fault is not None:
        sys.exit(FAULT_EXIT)


def instance_name(settings: ServiceSettings) -> str:
    """Return the name of the node: the setting, or host name and process id."""
    return settings.instance or f"{socket.gethostname()}-{os.getpid()}"


def bind(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """Return a listening socket, so that the port is known, or :class:`PortTaken` raised, before anything starts.

    The host ``::`` stands for all addresses of both families; for those of IPv4 where the machine has no IPv6.

    A ``shared`` socket may have the port of other processes of the same user. It does not listen yet: the kernel would
    assign it connections that are not accepted.
    """
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        if host != ALL_ADDRESSES:
            raise
        host, sock = "0.0.0.0", socket.socket(socket.AF_INET, socket.SOCK_STREAM)  # noqa: S104 - as asked for
    if host == ALL_ADDRESSES:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # some systems have it set
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
        if not shared:
            sock.listen(1024)
    except OSError as error:
        sock.close()
        raise PortTaken(
            f"Cannot listen on {host_port(host, port)} ({error.strerror}); free it or set {setting}."
        ) from None
    sock.setblocking(False)
    return sock


async def run(node: Node[Any]) -> Fault | None:
    """Serve until SIGTERM, SIGINT or a fault, then drain; return the fault, if there was one.

    Raises :class:`PortTaken` or what ``context`` raises.
    """
    settings, background = node.settings, node.background
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    background.listen(lambda _: stop.set())
    async with AsyncExitStack() as stack:
        public: socket.socket | None = None
        if node.own_port is None:
            main = stack.enter_context(contextlib.closing(bind(settings.host, settings.port, "NOTIFYX_PORT")))
        else:
            public = bind(settings.host, settings.port, "NOTIFYX_PORT", shared=True)
            stack.enter_context(contextlib.closing(public))
            main = stack.enter_context(contextlib.closing(bind(settings.host, node.own_port, "NOTIFYX_OWN_PORT")))
        side = stack.enter_context(
            contextlib.closing(bind(settings.host, settings.metrics_port, "NOTIFYX_METRICS_PORT"))
        )
        internal = _internal_server(node, stack)
        await stack.enter_async_context(node.context())
        port, metrics_port = main.getsockname()[1], side.getsockname()[1]
        closing, leaving = asyncio.Event(), asyncio.Event()
        running = {"http server": node.http_server(main), "metrics server": _metrics_server(node, side)}
        url, extra = settings.advertised(port), node.extra_ports
        if internal is not None:
            running["internal server"], tls_port = internal
            url, extra = settings.advertised(tls_port, "https"), {**extra, "internal_tls_port": tls_port}
        servers = await stack.enter_async_context(background.tasks())
        for name, server in running.items():
            servers.endless(name, server.run(closing))
        if public is not None:
            servers.endless("shared ports", _serve_shared(node, public, leaving))
        registration = Registration(
            service=node.name,
            instance=instance_name(settings),
            url=url,
            metrics_url=settings.advertised(metrics_port),
            settings=settings,
            background=background,
            tls=node.internal_tls,
        )
        await stack.enter_async_context(registration)
        node.tune_collector()
        _write_ready_file(settings, {"port": port, "metrics_port": metrics_port, **extra})
        log.info("service_listening", port=port, metrics_port=metrics_port, **extra)
        await stop.wait()
        node.readiness.drain()
        servers.let_end()
        leaving.set()
        until = loop.time() + settings.drain_seconds
        await registration.release()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await node.drain()
        # Running requests get this much time; one that is cut off is answered 500 without problem+json.
        grace = max(MIN_GRACE, until - loop.time())
        for server in running.values():
            server.grace = grace
        closing.set()
        await servers.finish(grace + MIN_GRACE)
    fault = background.fault
    log.info("service_stopped", fault=fault.task if fault is not None else None)
    return fault


def _internal_server(node: Node[Any], stack: AsyncExitStack) -> tuple[HttpServer, int] | None:
    """Return the server of internal calls over TLS and its port, which ``stack`` closes; ``None`` without TLS."""
    if node.internal_tls is None or node.internal_tls.listener is None:
        return None
    sock = bind(node.settings.host, node.settings.internal_tls_port, "NOTIFYX_INTERNAL_TLS_PORT")
    stack.enter_context(contextlib.closing(sock))
    return node.http_server(sock, lifespan=False, tls=node.internal_tls.listener), sock.getsockname()[1]


def metrics_app(metrics: Metrics) -> Quart:
    """Return the app of the metrics port: ``/metrics`` in the Prometheus text format, nothing else."""
    app = App("metrics")

    @app.get("/metrics")
    async def expose() -> Response:
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    return app


def _metrics_server(node: Node[Any], sock: socket.socket) -> HttpServer:
    # Its connections are counted apart: scrapes must work when the other ports have as many as they may.
    connections = Connections("metrics_connections", node.http_limits, node.metrics)
    return HttpServer(
        metrics_app(node.metrics), sock, limits=node.http_limits, connections=connections, turns=node.turns
    )


async def _serve_shared(node: Node[Any], sock: socket.socket, leaving: asyncio.Event) -> None:
    """Accept connections on the shared ports from readiness until ``leaving`` is set."""
    while await node.readiness.failures():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_POLL_INTERVAL):
                await leaving.wait()
                return
    server = node.http_server(sock, lifespan=False)  # the server on the node's own port has it
    # Accepted connections are finished, like those of the node's own port.
    server.grace = node.settings.drain_seconds + MIN_GRACE
    await node.join()
    log.info("shared_ports_joined", port=node.settings.port)
    await server.run(leaving)


def _write_ready_file(settings: ServiceSettings, ports: dict[str, int]) -> None:
    if settings.ready_file is not None:
        partial = settings.ready_file.with_suffix(".partial")
        partial.write_text(json.dumps({"pid": os.getpid(), **ports}))
        partial.replace(settings.ready_file)
