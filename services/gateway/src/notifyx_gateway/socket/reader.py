"""The protocol of an admitted connection: reads what the client sends, a bounded amount at a time.

Thousands of connections come at once when a node is lost, and most of them send next to nothing. So all connections
share one buffer, which is read out before the next one is read, and nothing of the upgrade request is kept.
"""

from __future__ import annotations

import asyncio
from typing import Any

from notifyx_gateway.socket.connection import WebSocketConnection
from notifyx_gateway.socket.frames import BadFrame
from notifyx_gateway.socket.parser import FrameParser

READ_CHUNK = 16 << 10
"""Maximum number of bytes that are read from a connection at once."""


def read_buffer() -> memoryview:
    """Return the buffer that the connections of a node share."""
    return memoryview(bytearray(READ_CHUNK))


class Reader(asyncio.BufferedProtocol):
    """Reads for one connection, from the response to the upgrade request on."""

    __slots__ = ("_buffer", "_connection", "_parser")

    def __init__(self, buffer: memoryview, max_frame: int, connection: WebSocketConnection) -> None:
        self._buffer = buffer
        self._connection = connection
        self._parser = FrameParser(max_frame)

    def start(self, transport: Any, accept: str, subprotocol: str | None) -> None:
        """Accept the upgrade request, and read what follows it."""
        transport.write(response(accept, subprotocol))
        self._connection.opened(transport)
        if not (transport.is_closing() or transport.is_reading()):
            transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        connection, parser = self._connection, self._parser
        if parser.failed:
            connection.receive_late(None)
            return
        try:
            for frame in parser.feed(bytes(self._buffer[:nbytes])):
                connection.receive(frame)
        except BadFrame as error:
            connection.fail(error)

    def eof_received(self) -> bool:
        self._connection.ended()
        return False

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.gone()


def response(accept: str, subprotocol: str | None) -> bytes:
    """Return the response to an upgrade request that is accepted with ``accept``."""
    lines = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    lines += f"Sec-WebSocket-Accept: {accept}\r\n"
    if subprotocol is not None:
        lines += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    return f"{lines}\r\n".encode()
