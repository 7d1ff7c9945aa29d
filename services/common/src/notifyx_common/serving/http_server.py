"""Serves an app, each connection with :class:`~notifyx_common.serving.http_connection.HttpConnection`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.lifespan import Lifespan
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from quart import Quart

from notifyx_common.logs import get_logger
from notifyx_common.serving.direct import DirectCalls
from notifyx_common.serving.http_connection import HttpConnection
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_turns import RequestTurns

log = get_logger(__name__)

BACKLOG = 1024
"""Connections that the kernel holds until they are accepted."""

SEND_BUFFER = 128 << 10
"""Size of the kernel's buffer for what a connection sends; without one it holds megabytes of an unread answer."""

MAX_WEBSOCKET_MESSAGE = 64 << 20


class HttpServer:
    """A server on ``sock``, which it closes at its end; without one, of the connections that it adopts."""

    def __init__(
        self,
        app: Quart | ASGIFramework,
        sock: socket.socket | None,
        *,
        limits: HttpLimits,
        connections: Connections,
        turns: RequestTurns,
        lifespan: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``lifespan``: whether the app is started and stopped with this server; true for one server of an app.

        With ``tls``, the port speaks HTTPS alone.
        """
        self._quart = app if isinstance(app, Quart) else None
        self._app = ASGIWrapper(cast(ASGIFramework, app) if isinstance(app, Quart) else app)
        if sock is not None:
            _prepare(sock)
        self._sock = sock
        self._limits = limits
        self._connections = connections
        self._turns = turns
        self._with_lifespan = lifespan
        self._tls = tls
        self._running: dict[asyncio.Task[None], HttpConnection] = {}
        self._accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None] = _reject
        self._config = Config()
        self._config.accesslog = self._config.errorlog = None
        self._config.websocket_max_message_size = MAX_WEBSOCKET_MESSAGE
        self.grace = 3.0
        """Seconds that requests in progress get once the server stops; it may be set until then."""

    async def run(self, closing: asyncio.Event) -> None:
        """Serve until ``closing`` is set and the requests in progress are answered, or ``grace`` is over."""
        context = WorkerContext(None)
        direct = DirectCalls.of(self._quart) if self._quart is not None else None
        websockets = self._quart is not None and any(rule.websocket for rule in self._quart.url_map.iter_rules())
        async with contextlib.AsyncExitStack() as stack:
            if self._with_lifespan:
                await stack.enter_async_context(self._lifespan())
            async with asyncio.TaskGroup() as group:

                def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    if closing.is_set():
                        writer.transport.abort()
                        return
                    connection = HttpConnection(
                        self._app,
                        self._config,
                        context,
                        direct,
                        websockets=websockets,
                        limits=self._limits,
                        connections=self._connections,
                        turns=self._turns,
                        reader=reader,
                        writer=writer,
                    )
                    task = group.create_task(_contained(connection), name="http connection")
                    self._running[task] = connection
                    task.add_done_callback(self._running.pop)

                self._accept = accept
                server = await self._listen(accept) if self._sock is not None else None
                try:
                    await closing.wait()
                finally:
                    if server is not None:
                        server.close()
                    await context.terminated.set()
                    await self._finish()

    def adopt(self, transport: asyncio.Transport, received: bytes) -> None:
        """Serve a connection that another listener accepted, and of which it has ``received`` what is given."""
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(received)

    async def _listen(self, accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> asyncio.Server:
        return await asyncio.start_server(
            accept,
            sock=self._sock,
            backlog=BACKLOG,
            ssl=self._tls,
            # A handshake is a part of the first head.
            ssl_handshake_timeout=None if self._tls is None else self._limits.head_timeout,
        )

    async def _finish(self) -> None:
        for connection in tuple(self._running.values()):
            connection.end_if_idle()
        if self._running:
            _, late = await asyncio.wait(set(self._running), timeout=self.grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        lifespan = Lifespan(self._app, self._config, asyncio.get_running_loop(), {})
        async with asyncio.TaskGroup() as group:
            task = group.create_task(lifespan.handle_lifespan())
            try:
                await lifespan.wait_for_startup()
                yield
                await lifespan.wait_for_shutdown()
            finally:
                task.cancel()


def _prepare(sock: socket.socket) -> None:
    """Set what accepted connections inherit.

    An answer is written in parts: Nagle's algorithm would hold the second back until the client has acknowledged the
    first, for some 40 ms, and asyncio sets this only for sockets whose protocol is named.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _reject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End a connection that is adopted before the server runs."""
    writer.transport.abort()


async def _contained(connection: HttpConnection) -> None:
    """Serve ``connection``; its failure is logged, and is nobody else's."""
    try:
        await connection.run()
    except Exception:
        log.exception("http_connection_failed")
