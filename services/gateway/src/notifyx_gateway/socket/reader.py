"""The protocol of an admitted connection: picows, with what is the same for all connections left out of each.

Thousands of connections come at once when a node is lost, so this path and what stays of it in memory are short: one
complete request is answered without a timer, the socket's options are those of the listening one, and of the
headers nothing is kept.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

from picows import WSAutoPingStrategy, WSUpgradeResponseWithListener

# picows itself offers a function that creates a server. It asks for the response to an upgrade request at once and
# without the client's address; so its protocol is created here, after the decision.
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from notifyx_gateway.socket.connection import WebSocketConnection
from notifyx_gateway.socket.settings import SocketSettings

READ_CHUNK = 16 << 10
"""Maximum number of bytes that are read from a connection at once."""

READ_BUFFER = 2048
"""Initial read buffer of a connection, in bytes; it grows with what the client sends."""


class Reader(asyncio.BufferedProtocol):
    """Reads for picows: :data:`READ_CHUNK` bytes at a time."""

    __slots__ = ("_connection", "_picows")

    def __init__(self, settings: SocketSettings, subprotocol: str | None, connection: WebSocketConnection) -> None:
        self._connection = connection
        accepted: Any = _Accepted(subprotocol)
        answer = WSUpgradeResponseWithListener(accepted, connection)
        self._picows = WSProtocol(
            None,  # host and port of a client
            None,  # path of a client
            False,  # is_client_side
            lambda _: answer,
            _SILENT,
            True,  # disconnect_on_exception
            None,  # websocket_handshake_timeout: the request is complete
            False,  # enable_auto_ping, and its three parameters
            settings.idle_timeout,
            settings.idle_timeout,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # enable_auto_pong
            settings.max_frame,
            None,  # extra headers of a client
            READ_BUFFER,
        )

    def start(self, transport: Any, head: bytes) -> None:
        """Answer the upgrade request ``head``, and read what follows it."""
        self._picows.connection_made(_PicowsTransport(transport))
        while head:
            buffer = self._picows.get_buffer(-1)
            size = min(len(buffer), len(head))
            buffer[:size] = head[:size]
            self._picows.buffer_updated(size)
            head = head[size:]
        # The request holds the token and lives as long as the connection, but is not needed any more.
        request = self._picows.transport.request
        if request is not None:
            del request.headers, request.path
        if not (transport.is_closing() or transport.is_reading()):
            transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        # picows offers all it has, which doubles whenever a read fills it.
        buffer: memoryview = self._picows.get_buffer(sizehint)
        return buffer[:READ_CHUNK]

    def buffer_updated(self, nbytes: int) -> None:
        self._picows.buffer_updated(nbytes)

    def eof_received(self) -> bool:
        self._connection.ended()
        return False

    def pause_writing(self) -> None:
        self._picows.pause_writing()

    def resume_writing(self) -> None:
        self._picows.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            self._picows.connection_lost(exc)
        finally:
            self._connection.gone()


class _Accepted:
    """The response to an upgrade request of an admitted client, in the place of picows' own."""

    __slots__ = ("headers", "status", "subprotocol")

    def __init__(self, subprotocol: str | None) -> None:
        self.status = HTTPStatus.SWITCHING_PROTOCOLS
        self.subprotocol = subprotocol
        self.headers: dict[str, str] = {}
        """Picows adds what follows from the key in the request."""

    def to_bytes(self) -> bytearray:
        """Return the response; it is written once."""
        lines = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        lines += f"Sec-WebSocket-Accept: {self.headers.pop('Sec-WebSocket-Accept')}\r\n"
        if self.subprotocol is not None:
            lines += f"Sec-WebSocket-Protocol: {self.subprotocol}\r\n"
        return bytearray(f"{lines}\r\n".encode())


class _PicowsTransport:
    """A transport as picows sees it, which reads and sets options of each socket that the listening one has already."""

    __slots__ = ("transport", "write")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.write = transport.write

    def get_write_buffer_size(self) -> int:
        size: int = self.transport.get_write_buffer_size()
        return size

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    def fileno(self) -> int:
        number: int = self.transport.get_extra_info("socket").fileno()
        return number

    def setsockopt(self, *_: int) -> None:
        """Do nothing: TCP_NODELAY is set, and quick acknowledgements are no lasting option."""

    def getsockopt(self, *_: int) -> int:
        """Return a number for picows' log, which is silent."""
        return 0

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()


class _Silent:
    """Picows' logger, which would warn of every client that violates the protocol."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is the standard library's
        return False

    def log(self, *_: object, **__: object) -> None:
        pass

    debug = info = warning = error = exception = log


_SILENT: Final = _Silent()
