"""Writes to one connection, as fast as its client reads, and closes it, in bounded time."""

from __future__ import annotations

import asyncio
import ssl

from notifyx_common.serving.http_limits import HttpLimits

WRITE_SIZE = 64 << 10
"""Bytes that are written at once. The transport buffers at most about twice as much of an unread answer."""


class Output:
    """What a connection sends, and its end."""

    __slots__ = ("_limits", "_lock", "_transport", "_writer")

    def __init__(self, writer: asyncio.StreamWriter, limits: HttpLimits) -> None:
        self._writer = writer
        self._transport = writer.transport
        self._limits = limits
        self._lock = asyncio.Lock()
        self._transport.set_write_buffer_limits(high=WRITE_SIZE)

    @property
    def is_closing(self) -> bool:
        """Whether the connection is closed or lost."""
        return self._transport.is_closing()

    @property
    def has_unread(self) -> bool:
        """Whether something waits for the client to read it."""
        return self._transport.get_write_buffer_size() > 0

    def write_at_once(self, data: bytes) -> bool:
        """Write ``data`` as :meth:`write` does if nothing has to wait for the client; return whether it did."""
        transport = self._transport
        if self._lock.locked() or transport.get_write_buffer_size() + len(data) > WRITE_SIZE:
            return False
        if not transport.is_closing():
            transport.write(data)
        return True

    async def write(self, data: bytes) -> None:
        """Write ``data``; nothing once the connection is closing.

        Raises :class:`TimeoutError` if the client does not read, and another :class:`OSError` or
        :class:`RuntimeError` if the connection is lost meanwhile.
        """
        view = memoryview(data)
        async with self._lock:
            for start in range(0, len(data), WRITE_SIZE):
                if self._transport.is_closing():
                    return
                self._writer.write(view[start : start + WRITE_SIZE])
                if self._transport.get_write_buffer_size() > WRITE_SIZE:
                    async with asyncio.timeout(self._limits.write_timeout):
                        await self._writer.drain()

    def write_now(self, data: bytes) -> None:
        """Write what is short, after which the connection ends."""
        self._writer.write(data)

    def end(self) -> None:
        """Close once all is written, at most ``close_timeout`` seconds later."""
        if self._transport.is_closing():
            return
        self._writer.close()
        asyncio.get_running_loop().call_later(self._limits.close_timeout, self._transport.abort)

    def abort(self) -> None:
        """Close at once; what has not been written is lost."""
        self._transport.abort()

    async def close(self) -> None:
        """Close, and wait for it."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._limits.close_timeout):
                await self._writer.wait_closed()
        except (OSError, ssl.SSLError):  # a TimeoutError is an OSError
            pass
        finally:
            self._transport.abort()
