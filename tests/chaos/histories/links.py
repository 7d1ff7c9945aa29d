"""TCP links between two parts of a platform, whose bytes pass here and can be cut, held up, delayed, lost or changed.

What TCP hides (a lost packet, a changed bit of one) cannot be seen by the parts either. What they do see of a bad
network is here: connections that are refused or break, bytes that come late, and answers that never come. Values of
memcached are changed on purpose too, as whoever can write there may do it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from chaos.histories.forged_values import ForgedConnection, Forger
from chaos.histories.targets import FaultKind

CHUNK = 64 << 10
ON_PURPOSE = 0.5
"""From this share of what passes on, values are forged; less is changed at random, which soon ends connections."""

CONNECT_TIMEOUT = 5.0
CLOSE_TIMEOUT = 1.0
"""Seconds in which connections that were cut end."""

Address = tuple[str, int]
Upstream = Callable[[], Address]
"""Returns where the other end is now. Raises :class:`OSError` while that is not known."""


@dataclass(eq=False)
class _Condition:
    kind: FaultKind
    amount: float
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Link:
    """One link: some ports, each with its upstream, and what is wrong with all of their connections now."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self._random = random
        self._forger = Forger()
        self._conditions: list[_Condition] = []
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._accepting: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def port(self, host: str, port: int, upstream: Upstream) -> AsyncIterator[int]:
        """Accept connections on ``host``:``port`` (0: a free one) while the block is entered; yield the port."""

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)
            with contextlib.suppress(OSError, TimeoutError):
                await self._accept(reader, writer, upstream)
            writer.transport.abort()

        server = await asyncio.start_server(accept, host, port, backlog=512)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut()
            if self._accepting:
                await asyncio.wait(self._accepting, timeout=CLOSE_TIMEOUT)

    @contextlib.contextmanager
    def fault(self, kind: FaultKind, amount: float = 0.0) -> Iterator[None]:
        """Let the link be broken in one way while the block is entered, beside other ways."""
        condition = _Condition(kind, amount)
        self._conditions.append(condition)
        if kind == "cut":
            self.cut()
        try:
            yield
        finally:
            self._conditions.remove(condition)
            condition.over.set()
            if kind == "stall_answers":
                self.cut()  # the answers that were held up are lost

    def cut(self) -> None:
        """Break the connections that there are."""
        for pair in tuple(self._open):
            for writer in pair:
                writer.transport.abort()

    def _has(self, kind: FaultKind) -> bool:
        return any(condition.kind == kind for condition in self._conditions)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream) -> None:
        if self._has("cut"):
            return
        host, port = upstream()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            other_reader, other_writer = await asyncio.open_connection(host, port)
        pair = (writer, other_writer)
        self._open.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                forged = self._forger.connection()
                group.create_task(self._pump(reader, other_writer, forged, answers=False))
                group.create_task(self._pump(other_reader, writer, forged, answers=True))
        except* OSError:
            pass
        finally:
            self._open.discard(pair)
            for one in pair:
                one.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forged: ForgedConnection, *, answers: bool
    ) -> None:
        while data := await reader.read(CHUNK):
            if not answers:
                forged.request(data)
            other = forged.forged(data) if answers else None
            data = await self._through(data, other, answers=answers)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _through(self, data: bytes, forged: bytes | None, *, answers: bool) -> bytes:
        """Return the bytes that arrive, when they arrive; ``forged`` is what can be made of them on purpose.

        Raises :class:`ConnectionError` where none do.
        """
        for condition in tuple(self._conditions):
            match condition.kind:
                case "cut":
                    raise ConnectionResetError
                case "stall":
                    await condition.over.wait()
                case "stall_answers" if answers:
                    await condition.over.wait()
                case "delay":
                    await asyncio.sleep(condition.amount * self._random.uniform(0.5, 1.5))
                case "lossy" if self._random.random() < condition.amount:
                    raise ConnectionResetError
                case "corrupt" if self._random.random() < condition.amount:
                    data = (forged or data) if condition.amount >= ON_PURPOSE else self._changed(data)
                case _:
                    pass
        return data

    def _changed(self, data: bytes) -> bytes:
        """Return the bytes with one bit changed."""
        place = self._random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << self._random.randrange(8))]) + data[place + 1 :]
