"""Long poll on the socket's own port, for clients that know that port alone.

The official client polls where it has no WebSocket, at the address that it was given for one. The gateway's HTTP server
serves such a connection from its first request on, with the limits of the HTTP port, and with this one path. It ends
with its first answer: a proxy that keeps connections would send the next WebSocket on it, which cannot open there.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self, cast

from hypercorn.typing import ASGIFramework
from quart import Quart

from notifyx_common.background import Background
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_server import HttpServer
from notifyx_common.serving.http_turns import RequestTurns
from notifyx_gateway.socket.upgrade import LONGPOLL_PATH


class LongPollPort:
    """Serves the connections that the socket's listener passes on, while entered."""

    def __init__(
        self,
        app: Quart,
        *,
        limits: HttpLimits,
        connections: Connections,
        turns: RequestTurns,
        background: Background,
    ) -> None:
        self._server = HttpServer(
            only(cast(ASGIFramework, app), LONGPOLL_PATH),
            None,
            limits=limits,
            connections=connections,
            turns=turns,
            lifespan=False,
        )
        self._closing = asyncio.Event()
        self._tasks = background.tasks()

    async def __aenter__(self) -> Self:
        self._tasks.endless("long poll port", self._server.run(self._closing))
        await asyncio.sleep(0)  # it adopts from its first step on
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await self._tasks.finish(self._server.grace + 1)

    def adopt(self, transport: asyncio.Transport, received: bytes) -> None:
        """Serve a connection whose client has sent ``received``."""
        self._server.adopt(transport, received)


def only(app: ASGIFramework, path: str) -> ASGIFramework:
    """Return ``app`` with ``path`` alone, whose answers end the connection; everything else is not found."""

    async def filtered(scope: Any, receive: Any, send: Any) -> None:
        async def last(event: Any) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event["headers"], (b"connection", b"close")]}
            await send(event)

        if scope["type"] == "http" and scope["path"] == path:
            await app(scope, receive, last)
        elif scope["type"] == "http":
            await last({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await last({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send({"type": "websocket.close", "code": 1000})  # before it is accepted: 403

    return filtered
