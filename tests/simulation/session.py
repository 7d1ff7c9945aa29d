"""The transports of a gateway's calls: asyncio's for ``calls.links``, and aiohttp's session for all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp.client_reqrep import ConnectionKey

from notifyx_common.contracts.store.feed import FEED
from simulation.network import End, Host, Network

FindHost = Callable[[str], Host | None]
"""Returns the host of a name, if it runs."""


class Connections:
    """Opens the connections of one host; ``loop.create_connection`` leads here too."""

    def __init__(self, network: Network, host: Host, find: FindHost) -> None:
        self._network, self._host, self._find = network, host, find

    async def open(self, name: str, kind: str) -> End:
        """Connect. Raises :class:`ConnectionRefusedError`."""
        return await self._network.connect(self._host, lambda: self._find(name), kind)

    async def protocol(self, factory: Callable[[], asyncio.Protocol], name: str) -> None:
        """Connect a protocol of asyncio. Raises :class:`ConnectionRefusedError`."""
        end = await self.open(name, "http")
        protocol = factory()
        protocol.connection_made(LinkTransport(end, protocol))
        end.start(protocol.data_received, lambda: protocol.connection_lost(None))


class LinkTransport(asyncio.Transport):
    """The transport of a connection that asyncio's protocols use."""

    def __init__(self, end: End, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._end, self._protocol = end, protocol

    def write(self, data: Any) -> None:
        self._end.send(bytes(data))

    def is_closing(self) -> bool:
        return self._end.closed

    def abort(self) -> None:
        if not self._end.closed:
            self._end.close()
            self._end.network.loop.call_soon(self._protocol.connection_lost, None)

    close = abort


class SimulatedSession:
    """Stands for ``aiohttp.ClientSession`` in a :class:`ServiceClient`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def close(self) -> None:
        """Nothing is kept open."""

    async def ws_connect(self, url: str, **_: Any) -> SimulatedSocket:
        """Connect to a feed."""
        assert url.endswith(FEED)
        return SimulatedSocket(await self._open(url, "feed"))

    def get(self, url: str, **options: Any) -> Any:
        """Send a request without a body."""
        return self.request("GET", url, **options)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
        **_: Any,
    ) -> AsyncIterator[Any]:
        """Send a request on a connection of its own."""
        async with asyncio.timeout(timeout.total if timeout is not None else 300.0):
            end = await self._open(url, "http")
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

            def lost() -> None:
                if not answer.done():
                    answer.set_exception(aiohttp.ServerDisconnectedError())

            end.start(answer.set_result, lost)
            target = urlsplit(url).path + (f"?{urlencode(params)}" if params else "")
            lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers or {}).items())]
            try:
                end.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (data or b""))
                received = await answer
            finally:
                end.close()

        head, _separator, content = received.partition(b"\r\n\r\n")

        async def read() -> bytes:
            return content

        yield SimpleNamespace(status=int(head[9:12]), read=read)

    async def _open(self, url: str, kind: str) -> End:
        name = urlsplit(url).hostname or ""
        try:
            return await self._connections.open(name, kind)
        except ConnectionRefusedError as error:
            key = ConnectionKey(name, 80, is_ssl=False, ssl=False, proxy=None, proxy_auth=None, proxy_headers_hash=None)
            raise aiohttp.ClientConnectorError(key, error) from error


class SimulatedSocket:
    """Stands for ``aiohttp.ClientWebSocketResponse``."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._items: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.close_code = 1006
        end.start(self._items.put_nowait, lambda: self._items.put_nowait(None))

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._end.closed

    async def send_str(self, text: str) -> None:
        """Send a message."""
        if self._end.closed:
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        self._end.send(text.encode())

    def __aiter__(self) -> SimulatedSocket:
        return self

    async def __anext__(self) -> Any:
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        return SimpleNamespace(data=item)

    async def close(self) -> None:
        """Close the connection."""
        self._end.close()
