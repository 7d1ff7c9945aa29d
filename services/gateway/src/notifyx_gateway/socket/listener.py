"""The socket's listener: accepts or rejects upgrades, closes idle connections, drains.

It runs in the gateway's event loop, on its own port.
"""

from __future__ import annotations

import asyncio
import logging
import random
from types import TracebackType
from typing import Any, Self

from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from notifyx_common.background import Background, every
from notifyx_common.backoff import jittered
from notifyx_common.clock import Clock
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.security_log import SecurityLog
from notifyx_common.serving.lifecycle import bind
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.limits import Limits
from notifyx_gateway.socket.admission import admit
from notifyx_gateway.socket.connection import WebSocketConnection
from notifyx_gateway.socket.context import Authenticator, ResolveUser, SocketContext
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.socket.unread import UnreadPusher
from notifyx_gateway.socket.upgrade import Rejection, check_upgrade
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)

SERVICE_RESTART = 1012
GOING_AWAY = 1001
BACKLOG = 4096
READ_BUFFER = 2048
"""Initial read buffer of a connection, in bytes; it grows with what the client sends."""


class SocketListener:
    """Listens while entered. ``port`` is the bound port."""

    def __init__(
        self,
        *,
        hub: Hub,
        store: Store,
        authenticator: Authenticator,
        resolve_user: ResolveUser,
        limits: Limits,
        settings: SocketSettings,
        metrics: Metrics,
        clock: Clock,
        background: Background,
        security: SecurityLog,
    ) -> None:
        unread_pusher = UnreadPusher(hub, store, delay=settings.unread_delay, background=background)
        self.context = SocketContext(
            hub,
            store,
            unread_pusher,
            authenticator,
            resolve_user,
            limits,
            settings,
            metrics,
            clock,
            background,
            security,
        )
        """Shared with the long poll."""
        self._settings = settings
        self._connections: set[WebSocketConnection] = set()
        self._draining = False
        self._server: asyncio.Server | None = None
        self._tasks = background.tasks()
        self._open = metrics.gauge("notifyx_connections").labels("websocket")
        self._disconnects = metrics.counter("notifyx_disconnects_total")
        self.port = settings.port

    async def __aenter__(self) -> Self:
        shared = self._settings.shared
        sock = bind(self._settings.host, self._settings.port, "NOTIFYX_SOCKET_PORT", shared=shared)
        self.port = sock.getsockname()[1]
        self._server = await ws_create_server(
            self._accept,
            sock=sock,
            backlog=BACKLOG,
            enable_auto_pong=False,
            max_frame_size=self._settings.max_frame,
            read_buffer_init_size=READ_BUFFER,
            logger_name=_picows_logger(),
            start_serving=not shared,
        )
        self._tasks.endless(
            "socket sweep", every(self._settings.idle_check_interval, self._close_idle, wait_first=True)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        await self._tasks.close()
        self._draining = True
        clients = [connection.client for connection in self._connections]
        for connection in tuple(self._connections):
            connection.close(SERVICE_RESTART, "the node is stopping")
        await asyncio.gather(*(client.tasks.close() for client in clients))
        await self.context.unread_pusher.aclose()

    async def join(self) -> None:
        """Accept connections on the shared port."""
        assert self._server is not None
        await self._server.start_serving()

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    async def drain(self) -> None:
        """Reject new connections; close the open ones with 1012 in paced batches, as their clients have no jitter."""
        self._draining = True
        if self._settings.shared and self._server is not None:
            self._server.close()  # new connections go to another gateway
        remaining = list(self._connections)
        random.shuffle(remaining)
        size = self._settings.drain_batch
        for start in range(0, len(remaining), size):
            if start:
                await asyncio.sleep(jittered(self._settings.drain_interval, (0.5, 1.5)))
            for connection in remaining[start : start + size]:
                connection.close(SERVICE_RESTART, "the node is stopping")

    def _accept(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        try:
            return self._authorize(request)
        except Exception as error:
            log.error("upgrade_failed", exc_info=error)
            return _reject(500, "Something went wrong on our side; it has been logged.")

    def _authorize(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        if self._draining:
            return _reject(503, "This node is stopping; try again.")
        verdict = check_upgrade(
            request.path.decode("latin-1"),
            request.headers,
            request.headers.getall("Sec-WebSocket-Protocol", []),
            self._settings.allowed_origins,
        )
        if isinstance(verdict, Rejection):
            return _reject(verdict.status, verdict.reason)
        admission = admit(self.context.authenticator, verdict.token)
        if isinstance(admission, Rejection):
            return _reject(admission.status, admission.reason)
        connection = WebSocketConnection(self.context, admission, on_opened=self._on_opened, on_closed=self._on_closed)
        headers = {"Sec-WebSocket-Protocol": verdict.subprotocol} if verdict.subprotocol else None
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), connection)

    def _on_opened(self, connection: WebSocketConnection) -> None:
        self._connections.add(connection)
        self._open.inc()
        if self._draining:  # it was admitted just before
            connection.close(SERVICE_RESTART, "the node is stopping")

    def _on_closed(self, connection: WebSocketConnection, reason: str) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._open.dec()
            self._disconnects.labels(reason).inc()

    async def _close_idle(self) -> None:
        silent_since = asyncio.get_running_loop().time() - self._settings.idle_timeout
        now = self.context.clock.now().timestamp()
        for connection in tuple(self._connections):
            if connection.last_frame_at < silent_since:
                connection.close(GOING_AWAY, "no heartbeat")
            else:
                connection.client.check_credential(now)


def _reject(status: int, reason: str) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse.create_error_response(status, reason.encode())
    return WSUpgradeResponseWithListener(response, None)


def _picows_logger() -> Any:
    """Return a logger that silences picows, which warns of every client that violates the protocol.

    It is no :class:`logging.Logger`: picows would create a child of that for each connection.
    """
    picows = logging.getLogger("picows")
    picows.setLevel(logging.CRITICAL)
    return logging.LoggerAdapter(picows)
