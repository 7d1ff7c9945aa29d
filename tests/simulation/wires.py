"""The transports of simulated clients: each carries Phoenix messages as bytes, or events of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from simulation.network import End

Open = Callable[[str, Any], Awaitable[End]]
"""``(kind, hello)``: connects to a gateway. Raises :class:`ConnectionRefusedError`."""

REPEATS = 1
"""How often a browser or an HTTP library repeats a request whose connection broke."""


class Wire(Protocol):
    """An open transport."""

    def send(self, text: bytes) -> None:
        """Send a message."""
        ...

    async def receive(self) -> bytes | None:
        """Return the next message; ``None`` once the transport has ended."""
        ...

    def close(self) -> None:
        """Close the transport."""
        ...


class SocketWire:
    """A WebSocket."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._texts: asyncio.Queue[bytes | None] = asyncio.Queue()
        end.start(self._frames, lambda: self._texts.put_nowait(None))

    @classmethod
    async def open(cls, connect: Open, user: str) -> SocketWire:
        """Connect."""
        return cls(await connect("socket", user))

    def send(self, text: bytes) -> None:
        self._end.send(text)

    async def receive(self) -> bytes | None:
        return await self._texts.get()

    def close(self) -> None:
        self._end.close()
        self._texts.put_nowait(None)

    def _frames(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            opcode, length, at = data[at], data[at + 1], at + 2
            if length == 126:
                length, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            elif length == 127:
                length, at = int.from_bytes(data[at : at + 8], "big"), at + 8
            if opcode == 0x88:
                self.close()
                return
            self._texts.put_nowait(data[at : at + length])
            at += length


class PollWire:
    """A long-poll session, as the official client and its HTTP library hold it."""

    def __init__(self, connect: Open) -> None:
        self._connect = connect
        self._token = ""
        self._texts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, connect: Open, user: str) -> PollWire:
        """Open a session."""
        wire = cls(connect)
        _, wire._token, _ = await wire._request("open", user)
        loop = asyncio.get_running_loop()
        wire._tasks = [loop.create_task(wire._poll()), loop.create_task(wire._push())]
        return wire

    def send(self, text: bytes) -> None:
        self._lines.put_nowait(text)

    async def receive(self) -> bytes | None:
        return await self._texts.get()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._texts.put_nowait(None)

    async def _request(self, kind: str, content: Any, repeats: int = 0) -> tuple[int, str, tuple[bytes, ...]]:
        """Send a request on a connection of its own. Raises :class:`ConnectionRefusedError`."""
        loop = asyncio.get_running_loop()
        request = (kind, self._token, content)
        for attempt in range(repeats + 1):
            end = await self._connect("poll", kind)
            answered: asyncio.Future[tuple[int, str, tuple[bytes, ...]] | None] = loop.create_future()

            def answer(item: Any, answered: asyncio.Future[Any] = answered) -> None:
                if not answered.done():
                    answered.set_result(item)

            end.start(answer, lambda answer=answer: answer(None))  # type: ignore[misc]
            end.send(request)
            try:
                found = await answered
            finally:
                end.close()
            if found is not None:
                return found
            if attempt == repeats:
                break
        raise ConnectionRefusedError("the answer was lost")

    async def _poll(self) -> None:
        try:
            while True:
                status, token, messages = await self._request("poll", None, REPEATS)
                if status == 410:
                    break
                self._token = token
                for text in messages:
                    self._texts.put_nowait(text)
        except ConnectionRefusedError:
            pass
        self._texts.put_nowait(None)

    async def _push(self) -> None:
        try:
            while True:
                lines = [await self._lines.get()]
                while not self._lines.empty():
                    lines.append(self._lines.get_nowait())
                status, _, _ = await self._request("push", lines, REPEATS)
                if status != 200:
                    break
        except ConnectionRefusedError:
            pass
        self._texts.put_nowait(None)
