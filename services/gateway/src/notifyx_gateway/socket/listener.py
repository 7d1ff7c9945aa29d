"""The socket's listener: accepts or refuses upgrades, looks after idle connections, drains.

It runs in the gateway's own event loop, on a port of its own.
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
from notifyx_common.serving.lifecycle import bind
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.socket.admission import admit
from notifyx_gateway.socket.connection import Connection
from notifyx_gateway.socket.realm import Authenticator, Realm, ResolveUser
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_gateway.socket.unread import UnreadBoard
from notifyx_gateway.socket.upgrade import Refusal, judge
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)

SERVICE_RESTART = 1012
IDLE = 1001
BACKLOG = 4096
READ_BUFFER = 2048
"""Bytes a connection starts with; it grows with what the client sends."""


class SocketListener:
    """Listens while entered. ``port`` is the bound one."""

    def __init__(
        self,
        *,
        hub: Hub,
        store: Store,
        authenticator: Authenticator,
        resolve_user: ResolveUser,
        settings: SocketSettings,
        metrics: Metrics,
        clock: Clock,
        background: Background,
    ) -> None:
        board = UnreadBoard(hub, store, delay=settings.unread_delay, background=background)
        self.realm = Realm(hub, store, board, authenticator, resolve_user, settings, metrics, clock, background)
        """What the long poll shares with the socket."""
        self._settings = settings
        self._connections: set[Connection] = set()
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
            logger_name=_quiet(),
            start_serving=not shared,
        )
        self._tasks.endless("socket sweep", every(self._settings.sweep_interval, self._sweep, wait_first=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        await self._tasks.close()
        self._draining = True
        peers = [connection.peer for connection in self._connections]
        for connection in tuple(self._connections):
            connection.close(SERVICE_RESTART, "the node is stopping")
        await asyncio.gather(*(peer.tasks.close() for peer in peers))
        await self.realm.board.aclose()

    async def join(self) -> None:
        """Accept connections on the shared port."""
        assert self._server is not None
        await self._server.start_serving()

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def drain(self) -> None:
        """Refuse new connections and close the open ones with 1012 in paced batches: their clients have no jitter."""
        self._draining = True
        if self._settings.shared and self._server is not None:
            self._server.close()  # whoever comes now is another gateway's
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
            return self._judge(request)
        except Exception as error:
            log.error("upgrade failed", exc_info=error)
            return _refuse(500, "Something went wrong on our side; it has been logged.")

    def _judge(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        if self._draining:
            return _refuse(503, "This node is stopping; try again.")
        verdict = judge(
            request.path.decode("latin-1"),
            request.headers,
            request.headers.getall("Sec-WebSocket-Protocol", []),
            self._settings.allowed_origins,
        )
        if isinstance(verdict, Refusal):
            return _refuse(verdict.status, verdict.reason)
        admission = admit(self.realm.authenticator, verdict.token)
        if isinstance(admission, Refusal):
            return _refuse(admission.status, admission.reason)
        connection = Connection(self.realm, admission, opened=self._opened, gone=self._gone)
        headers = {"Sec-WebSocket-Protocol": verdict.subprotocol} if verdict.subprotocol else None
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), connection)

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._open.inc()
        if self._draining:  # it was let in just before
            connection.close(SERVICE_RESTART, "the node is stopping")

    def _gone(self, connection: Connection, reason: str) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._open.dec()
            self._disconnects.labels(reason).inc()

    async def _sweep(self) -> None:
        silent_since = asyncio.get_running_loop().time() - self._settings.idle_timeout
        now = self.realm.clock.now().timestamp()
        for connection in tuple(self._connections):
            if connection.heard < silent_since:
                connection.close(IDLE, "no heartbeat")
            else:
                connection.peer.look(now)


def _refuse(status: int, reason: str) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse.create_error_response(status, reason.encode())
    return WSUpgradeResponseWithListener(response, None)


def _quiet() -> Any:
    """A logger for picows: its warnings are about clients that break the protocol, which is their affair.

    Not a :class:`logging.Logger`, of which picows makes a child for each connection.
    """
    picows = logging.getLogger("picows")
    picows.setLevel(logging.CRITICAL)
    return logging.LoggerAdapter(picows)
