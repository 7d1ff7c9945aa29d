"""A WebSocket client that sends any bytes, where a client library would not go along."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import orjson

from support.patience import PATIENCE
from support.socket_gateway import Gateway


async def upgrade(gateway: Gateway, query: str, headers: dict[str, str] | None = None) -> tuple[int, str, Any]:
    """Status, body and headers of an upgrade request."""
    sent = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{gateway.listener.port}{query}", headers=sent) as response,
    ):
        body = "" if response.status == 101 else await response.text()
        return response.status, body, response.headers


def offered(token: str) -> str:
    return "phoenix, base64url.bearer.phx." + base64.b64encode(token.encode()).decode().rstrip("=")


class Raw:
    """A WebSocket client that sends any bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, masked: bool = True) -> None:
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        length = len(payload)
        head = bytes((first,))
        bit = 0x80 if masked else 0
        if length < 126:
            head += bytes((bit | length,))
        elif length < 1 << 16:
            head += bytes((bit | 126,)) + struct.pack("!H", length)
        else:
            head += bytes((bit | 127,)) + struct.pack("!Q", length)
        self.writer.write(head + (b"\0\0\0\0" if masked else b"") + payload)

    def message(self, *parts: object) -> None:
        self.frame(1, orjson.dumps(list(parts)))

    async def receive(self) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readexactly(2)
            length = head[1] & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return head[0] & 0xF, await self.reader.readexactly(length)

    async def reply(self) -> list[Any]:
        opcode, payload = await self.receive()
        assert opcode == 1, payload
        message: list[Any] = orjson.loads(payload)
        return message

    async def answer(self) -> list[Any]:
        """The next reply, whatever is pushed before it."""
        message = await self.reply()
        while message[3] != "phx_reply":
            message = await self.reply()
        return message

    async def close_code(self) -> int:
        while True:
            opcode, payload = await self.receive()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")


def request(token: str, headers: Mapping[str, str] | None = None) -> bytes:
    """An upgrade request."""
    key = base64.b64encode(os.urandom(16)).decode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return (
        f"GET /socket/websocket?vsn=2.0.0&token={token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()
    )


@asynccontextmanager
async def connected(
    gateway: Gateway, token: str = "user.ann", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Raw]:
    """A connected client, which is cut off at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.listener.port)
    writer.write(request(token, headers))
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
