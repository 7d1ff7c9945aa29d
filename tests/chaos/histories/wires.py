"""Phoenix Channels as a recorder needs them: frames as they come, over a socket or long poll, and nothing repaired."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import aiohttp
import orjson

OPEN_TIMEOUT = 4.0
CLOSE_TIMEOUT = 1.0
ANSWER_TIMEOUT = 12.0
"""Seconds until the outcome of a message is unknown; the platform answers within 8."""

HEARTBEAT = 2.0
"""Seconds between heartbeats; without an answer for twice that the connection is given up."""

_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Broken(Exception):
    """The connection is gone: what was not answered is unknown."""


class Wire(Protocol):
    """Carries frames, in order, until it breaks."""

    async def open(self, token: str) -> None:
        """Connect. Raises :class:`Broken`."""
        ...

    async def send(self, frame: bytes) -> None:
        """Send a frame. Raises :class:`Broken`."""
        ...

    async def receive(self) -> list[bytes | str]:
        """Wait for frames. Raises :class:`Broken`."""
        ...

    async def close(self) -> None:
        """Close."""
        ...


class SocketWire:
    """A WebSocket."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/websocket?vsn=2.0.0"
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self, token: str) -> None:
        encoded = base64.b64encode(token.encode()).decode().rstrip("=")
        headers = {"Sec-WebSocket-Protocol": f"phoenix, base64url.bearer.phx.{encoded}"}
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                self._socket = await self._http.ws_connect(self._url, headers=headers, max_msg_size=0)
        except _ERRORS as error:
            raise Broken(f"not opened: {error!r}") from error

    async def send(self, frame: bytes) -> None:
        assert self._socket is not None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._socket.send_str(frame.decode())
        except _ERRORS as error:
            raise Broken(repr(error)) from error

    async def receive(self) -> list[bytes | str]:
        assert self._socket is not None
        try:
            message = await self._socket.receive()
        except _ERRORS as error:
            raise Broken(repr(error)) from error
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Broken(f"closed with {self._socket.close_code}")
        return [message.data]

    async def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(*_ERRORS):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._socket.close()


class LongPollWire:
    """The same over requests, one at a time in each direction."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._url = f"{base}/socket/longpoll?vsn=2.0.0"
        self._token = ""
        self._sending = asyncio.Lock()

    async def open(self, token: str) -> None:
        answer = await self._ask("GET", OPEN_TIMEOUT, headers={"X-Phoenix-AuthToken": token})
        if answer.get("status") != 410 or not answer.get("token"):
            raise Broken(f"not opened: {answer}")
        self._token = answer["token"]

    async def send(self, frame: bytes) -> None:
        headers = {"x-phoenix-longpoll-token": self._token, "Content-Type": "application/x-ndjson"}
        async with self._sending:
            answer = await self._ask("POST", ANSWER_TIMEOUT, data=frame, headers=headers)
        if answer.get("status") != 200:
            raise Broken(f"not sent: {answer}")

    async def receive(self) -> list[bytes | str]:
        answer = await self._ask("GET", 2 * ANSWER_TIMEOUT, headers={"x-phoenix-longpoll-token": self._token})
        if answer.get("status") not in (200, 204):
            raise Broken(f"ended: {answer.get('status')}")
        self._token = answer["token"]
        messages: list[bytes | str] = answer.get("messages", [])
        return messages

    async def close(self) -> None:
        """A session ends when nobody polls."""

    async def _ask(self, method: str, timeout: float, **options: Any) -> dict[str, Any]:
        try:
            limit = aiohttp.ClientTimeout(total=timeout)
            async with self._http.request(method, self._url, timeout=limit, **options) as response:
                answer: dict[str, Any] = await response.json(content_type=None)
                return answer if isinstance(answer, dict) else {}
        except _ERRORS as error:
            raise Broken(repr(error)) from error


Reply = dict[str, Any]
"""``{"status": "ok" or "error", "response": {…}}``."""

OnReply = Callable[[Reply], None]
OnPush = Callable[[str, str, Any], None]
"""Called with topic, event and payload."""


class Channels:
    """Requests and pushes over a wire. Both are handed over in the order in which they came."""

    def __init__(self, wire: Wire, on_push: OnPush) -> None:
        self._wire = wire
        self._on_push = on_push
        self._refs = itertools.count(1)
        self._waiting: dict[str, tuple[asyncio.Future[Reply], OnReply | None]] = {}
        self._heard = time.monotonic()
        self.broken = False
        self._given_up = asyncio.Event()

    def give_up(self) -> None:
        """Let :meth:`run` end: the server has said that the client has to begin anew."""
        self._given_up.set()

    def end(self) -> None:
        """Hand over nothing more: whoever waited for replies is gone, so what follows one would come without it."""
        self.broken = True

    def ref(self) -> str:
        """Return a new ref."""
        return str(next(self._refs))

    async def run(self) -> None:
        """Receive until the wire breaks. Always raises :class:`Broken`."""
        beating: asyncio.Task[Any] = asyncio.create_task(self._beat())
        receiving: asyncio.Task[Any] = asyncio.create_task(self._receive())
        leaving: asyncio.Task[Any] = asyncio.create_task(self._given_up.wait())
        tasks = [beating, receiving, leaving]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            raise Broken("given up")
        finally:
            self.broken = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for future, _ in self._waiting.values():
                if not future.done():
                    future.set_exception(Broken("the connection broke"))
                    future.exception()  # nobody may wait for it any more

    async def call(
        self, join_ref: str | None, topic: str, event: str, payload: Any, on_reply: OnReply | None = None
    ) -> Reply:
        """Send a message and wait for its reply; ``on_reply`` sees it before what follows. Raises :class:`Broken`."""
        ref = join_ref if event == "phx_join" and join_ref is not None else self.ref()
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = (future, on_reply)
        try:
            if self.broken:
                raise Broken("the connection is gone")
            await self._wire.send(orjson.dumps([join_ref, ref, topic, event, payload]))
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await future
        except TimeoutError as error:
            raise Broken("no answer") from error
        finally:
            self._waiting.pop(ref, None)

    async def _receive(self) -> None:
        while True:
            frames = deque(await self._wire.receive())
            self._heard = time.monotonic()
            while frames and not self.broken:
                _, ref, topic, event, payload = orjson.loads(frames.popleft())
                if event != "phx_reply":
                    self._on_push(topic, event, payload)
                elif (waiting := self._waiting.get(ref)) is not None and not waiting[0].done():
                    if waiting[1] is not None:
                        waiting[1](payload)
                    waiting[0].set_result(payload)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            if time.monotonic() - self._heard > 2 * HEARTBEAT:
                raise Broken("silent")
            await self._wire.send(orjson.dumps([None, self.ref(), "phoenix", "heartbeat", {}]))
