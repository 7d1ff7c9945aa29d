"""The socket's listener: accepts or rejects upgrades, closes idle connections, drains.

It runs in the gateway's event loop, on its own port.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Self

from notifyx_common.background import Background, every
from notifyx_common.backoff import jittered
from notifyx_common.clock import Clock
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_common.serving.lifecycle import bind
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.limits import Limits
from notifyx_gateway.socket.admission import Admission, Admissions
from notifyx_gateway.socket.authenticator import Authenticator
from notifyx_gateway.socket.client import SERVICE_RESTART
from notifyx_gateway.socket.connection import WebSocketConnection
from notifyx_gateway.socket.context import CheckGrants, ResolveUser, SocketContext
from notifyx_gateway.socket.entrance import Reception
from notifyx_gateway.socket.flows import Flows
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.socket.turns import Turns
from notifyx_gateway.socket.unread import UnreadPusher
from notifyx_gateway.upstream.credential_state import Affects
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)

GOING_AWAY = 1001
BACKLOG = 4096
MAX_HISTORIES = 8
"""Maximum number of pages of history that sockets and long-poll sessions read at once."""

CLOSE_TIMEOUT = 1.0
"""How long a stopping node waits for the descriptors of aborted connections to be closed, in seconds."""

RECEIVE_BUFFER = 256 << 10
"""What the kernel keeps of a connection that is not read, in bytes: enough for 20 Mbit/s over 100 ms."""


class SocketListener:
    """Listens while entered. ``port`` is the bound port."""

    def __init__(
        self,
        *,
        hub: Hub,
        store: Store,
        authenticator: Authenticator,
        resolve_user: ResolveUser,
        check_grants: CheckGrants,
        limits: Limits,
        settings: SocketSettings,
        metrics: Metrics,
        clock: Clock,
        background: Background,
        security: SecurityLog,
        adopt: Callable[[asyncio.Transport, bytes], None] | None = None,
        work_clock: Callable[[], float] = perf_counter,
    ) -> None:
        """``adopt`` serves the connections of clients that poll (:class:`Reception`). ``work_clock`` measures work."""
        unread_pusher = UnreadPusher(hub, store, delay=settings.unread_delay, clock=clock, background=background)
        admissions = Admissions(authenticator, settings, metrics, security, store.alarms)
        queue = store.limits
        self.context = SocketContext(
            hub=hub,
            store=store,
            unread_pusher=unread_pusher,
            authenticator=authenticator,
            resolve_user=resolve_user,
            check_grants=check_grants,
            limits=limits,
            settings=settings,
            metrics=metrics,
            clock=clock,
            background=background,
            security=security,
            admissions=admissions,
            rates=settings.rates,
            reading_history=asyncio.Semaphore(MAX_HISTORIES),
            turns=Turns(store.shared, work_clock),
            flows=Flows(max_items=queue.max_queued, max_bytes=queue.max_queued_bytes, share=queue.account_share / 2),
            published=metrics.counter("notifyx_publishes_total").labels("socket", "ok"),
            joined=metrics.counter("notifyx_joins_total").labels("ok"),
            channels={kind: metrics.gauge("notifyx_channels").labels(kind) for kind in ("topic", "user")},
        )
        """Shared with the long poll."""
        self._settings = settings
        self._connections: set[WebSocketConnection] = set()
        self._closed = asyncio.Event()
        """Set when a connection is closed."""
        self._nobody = asyncio.Event()
        """Set while no connection has an open descriptor."""
        self._nobody.set()
        self._server: asyncio.Server | None = None
        self._tasks = background.tasks()
        self._reception = Reception(admissions, settings, metrics, self._tasks, self._accept, adopt)
        self._open = metrics.gauge("notifyx_connections").labels("websocket")
        self._disconnects = metrics.counter("notifyx_disconnects_total")
        self.port = settings.port

    async def __aenter__(self) -> Self:
        shared = self._settings.shared
        sock = bind(self._settings.host, self._settings.port, "NOTIFYX_SOCKET_PORT", shared=shared)
        self.port = sock.getsockname()[1]
        # Accepted connections inherit both.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = await asyncio.get_running_loop().create_server(
            self._reception.protocol, sock=sock, backlog=BACKLOG, start_serving=not shared
        )
        self._tasks.endless("socket checks", every(self._settings.idle_check_interval, self._check, wait_first=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self._reception.draining = True
        await self._tasks.close()
        self._reception.close()
        clients = [connection.client for connection in self._connections]
        for connection in tuple(self._connections):
            connection.close(SERVICE_RESTART, "the node is stopping")
            connection.abort("stopping")
        await asyncio.gather(*(client.aclose() for client in clients))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._nobody.wait()
        await self.context.unread_pusher.aclose()

    async def join(self) -> None:
        """Accept connections on the shared port."""
        assert self._server is not None
        await self._server.start_serving()

    @property
    def connections(self) -> int:
        """Number of connections with an open descriptor, those that are being closed included."""
        return len(self._connections)

    @property
    def unproved(self) -> int:
        """Number of connections whose client has not proved yet who it is."""
        return len(self._reception.guests)

    async def drain(self) -> None:
        """Reject new connections; end the open ones with 1012 in paced batches, as their clients have no jitter.

        What they have sent is answered before. Returns once all are closed.
        """
        self._reception.draining = True
        if self._settings.shared and self._server is not None:
            self._server.close()  # new connections go to another gateway
        remaining = list(self._connections)
        random.shuffle(remaining)
        size = self._settings.drain_batch
        for start in range(0, len(remaining), size):
            if start:
                await asyncio.sleep(jittered(self._settings.drain_interval, (0.5, 1.5)))
            for connection in remaining[start : start + size]:
                connection.end(SERVICE_RESTART, "the node is stopping")
        for connection in remaining:
            while not connection.closed:
                self._closed.clear()
                await self._closed.wait()

    def credentials_changed(self, affects: Affects) -> None:
        """Close the connections whose credential has ended."""
        for connection in tuple(self._connections):
            if affects(connection.client.principal):
                connection.client.credential_changed()

    def _accept(self, admission: Admission) -> WebSocketConnection:
        return WebSocketConnection(
            self.context, admission, on_opened=self._on_opened, on_closed=self._on_closed, on_gone=self._on_gone
        )

    def _on_opened(self, connection: WebSocketConnection) -> None:
        self._connections.add(connection)
        self._nobody.clear()
        self._open.inc()
        if self._reception.draining:  # it was admitted just before
            connection.close(SERVICE_RESTART, "the node is stopping")

    def _on_closed(self, connection: WebSocketConnection, reason: str) -> None:
        self._disconnects.labels(reason).inc()
        self._closed.set()

    def _on_gone(self, connection: WebSocketConnection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._open.dec()
            if not self._connections:
                self._nobody.set()

    async def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        silent_since = now - self._settings.idle_timeout
        wall = self.context.clock.now().timestamp()
        for connection in tuple(self._connections):
            connection.check(now)
            if connection.last_frame_at < silent_since and connection.read:
                connection.close(GOING_AWAY, "no heartbeat")
            else:
                connection.client.check_credential(wall)
