"""Finds processes that hang: stopped, in an endless loop, or waiting for themselves. They do not end by themselves.

In a cluster the liveness probe does this. A process is asked on its health route; whatever it does with the connection
shows that it is alive, and only silence counts against it.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """A process is asked every ``interval`` seconds; ``silences`` in a row, of ``timeout`` seconds each, mean a hang.

    ``silences_beside`` do where it shares its address with another process that answers: new connections still go to
    it, and nobody loses the only one there is. After a silence it is asked again at once. One that hangs then has
    ``stop_seconds`` to end before it is killed.

    Only silences count, each of which this process has waited for: so a machine that slept ends nothing.
    """

    interval: float = 5.0
    timeout: float = 5.0
    silences: int = 6
    silences_beside: int = 2
    stop_seconds: float = 5.0


DEFAULT_PATIENCE = Patience()


class Silences:
    """The silences in a row of the process that has a name now. Pure."""

    def __init__(self) -> None:
        self.count = 0
        self._pid = 0

    def note(self, pid: int, *, answered: bool) -> None:
        """Count that the process ``pid`` ``answered`` or did not."""
        if answered or pid != self._pid:
            self.count = 0
        self._pid = pid
        self.count += not answered

    def answers(self, pid: int) -> bool:
        """Return whether the process ``pid`` answered when it was last asked."""
        return self._pid == pid and self.count == 0


async def answers(port: int, timeout: float) -> bool:
    """Return whether the process that listens on ``port`` of this machine does anything within ``timeout`` seconds.

    It always takes as long to find that it does not, also where nobody listens any more.
    """
    try:
        async with asyncio.timeout(timeout):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(timeout)
                return False
            try:
                writer.write(_REQUEST)
                with contextlib.suppress(ConnectionError):
                    await reader.read(1)
            finally:
                writer.close()
    except TimeoutError:
        return False
    return True
