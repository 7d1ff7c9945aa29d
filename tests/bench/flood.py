"""``python -m bench.flood HOW URL TOKEN TOPIC SIZE``: publish without end, in a process of its own.

Prints the number of what was accepted so far, twice a second.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Literal

import aiohttp

CONNECTIONS = 4
IN_FLIGHT = {"socket": 200, "rest": 16}
EVERY = 0.5

How = Literal["socket", "rest"]


class Flood:
    """Publishes all it can to one topic over four connections."""

    def __init__(self, url: str, token: str, topic: str, size: int) -> None:
        self._url = url
        self._token = token
        self._topic = topic
        self._body = "x" * size
        self._accepted = 0

    async def run(self, how: str) -> None:
        """Publish until the process is ended."""
        way = self._by_socket if how == "socket" else self._by_rest
        await asyncio.gather(self._report(), *(way() for _ in range(CONNECTIONS)))

    async def _by_socket(self) -> None:
        credential = base64.b64encode(self._token.encode()).decode().rstrip("=")
        headers = {"Sec-WebSocket-Protocol": f"phoenix, base64url.bearer.phx.{credential}"}
        room = asyncio.Semaphore(IN_FLIGHT["socket"])
        channel = f"topic:{self._topic}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self._url}/websocket?vsn=2.0.0", headers=headers, max_msg_size=0) as socket,
        ):
            await socket.send_str(json.dumps(["1", "1", channel, "phx_join", {}]))

            async def send() -> None:
                number = 1
                while True:
                    await room.acquire()
                    number += 1
                    await socket.send_str(f'["1","{number}","{channel}","publish",{{"body":"{self._body}"}}]')

            sending = asyncio.create_task(send())
            async for message in socket:
                if '"phx_reply"' in message.data[:200]:
                    self._accepted += '"status":"ok"' in message.data
                    room.release()
            sending.cancel()

    async def _by_rest(self) -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._token}"}) as session:

            async def one() -> None:
                while True:
                    path = f"{self._url}/topics/{self._topic}/notifications"
                    async with session.post(path, json={"body": self._body}) as response:
                        await response.read()
                        self._accepted += response.status == 201

            await asyncio.gather(*(one() for _ in range(IN_FLIGHT["rest"])))

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            if self._accepted:
                print(self._accepted, flush=True)


@contextlib.asynccontextmanager
async def flooding(how: How, url: str, token: str, topic: str, size: int) -> AsyncIterator[list[float]]:
    """Run a flood from when it is under way; yields a list that has its messages a second at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.flood", how, url, token, topic, str(size), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    first = int(await process.stdout.readline())
    rate: list[float] = []
    try:
        yield rate
    finally:
        process.kill()
        counts = [first, *(int(line) for line in (await process.stdout.read()).split())]
        await process.wait()
        rate.append((counts[-1] - first) / EVERY / max(len(counts) - 1, 1))


if __name__ == "__main__":
    _, HOW, URL, TOKEN, TOPIC, SIZE = sys.argv
    asyncio.run(Flood(URL, TOKEN, TOPIC, int(SIZE)).run(HOW))
