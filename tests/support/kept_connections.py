"""Connections that are kept from test to test, each of which has an event loop of its own: they live in a thread's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from support.patience import PATIENCE

T = TypeVar("T")


class KeptConnections:
    """A connection to each database that was asked for, until :meth:`close`.

    One that is used again knows the tables already: most of what a new one costs the server.
    """

    def __init__(self) -> None:
        self._connections: dict[str, asyncpg.Connection] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def run(self, url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Do ``work`` in the thread, with the connection to ``url``. One on which it fails is not used again."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._run(url, work), self._loop))

    async def _run(self, url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        connection = self._connections.pop(url, None) or await asyncpg.connect(url)
        try:
            done = await work(connection)
        except BaseException:
            connection.terminate()
            raise
        self._connections[url] = connection
        return done

    def close(self) -> None:
        """End the connections and the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _close(self) -> None:
        for connection in self._connections.values():
            await connection.close()
