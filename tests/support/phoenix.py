"""A Phoenix Channels v2 client for tests: reconnects by itself and resumes each channel after its last seen seq.

It checks nothing of what it receives: tests look at :attr:`Channel.received`, in the order of arrival.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from support.patience import PATIENCE

ANSWER_DEADLINE = PATIENCE / 2
"""Seconds after which a connection is taken for lost: two of them fit into the patience of who waits for a third."""


class Refused(Exception):
    """The server answered a push with ``status: error``."""

    def __init__(self, response: dict[str, Any]) -> None:
        super().__init__(str(response))
        self.response = response


class Lost(Exception):
    """The connection broke before the answer came: whether the push took effect is not known."""


RETRYABLE = {"unavailable", "deadline_exceeded", "too_many_requests"}
"""Codes of a refusal after which the same request may succeed."""


class Channel:
    """One joined topic: what it received, and what it was told at its last join."""

    def __init__(self, client: PhoenixClient, topic: str, params: dict[str, Any]) -> None:
        self.topic = topic
        self.received: list[dict[str, Any]] = []
        self.events: list[tuple[str, Any]] = []
        self.state: dict[str, Any] = {}
        self._client = client
        self._params = params
        self._join_ref = ""
        self._changed = asyncio.Event()

    async def join(self) -> dict[str, Any]:
        """Join, or join again after the last seen seq."""
        params = dict(self._params)
        if self.received:
            params["since"] = self.received[-1]["seq"]
        elif self.state:
            params["since"] = self.state["since"]
        self._join_ref = self._client.next_ref()
        answer = await self._client.request(self._join_ref, self._join_ref, self.topic, "phx_join", params)
        if not self.state:
            self.state = {**answer, "since": params.get("since", answer.get("last_seq"))}
        return answer

    async def push(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send and wait for the answer. Raises :class:`Refused` or :class:`Lost`."""
        return await self._client.request(self._join_ref, self._client.next_ref(), self.topic, event, payload)

    async def publish(self, body: str, key: str) -> int:
        """Publish until it is answered; its seq.

        What was not answered is sent again under the same key, as a careful publisher does. Raises :class:`Refused`
        for a refusal that is final.
        """
        while True:
            try:
                answer = await self.push("publish", {"body": body, "key": key})
            except Lost:
                await self._client.connected()
            except Refused as refused:
                if refused.response["code"] not in RETRYABLE:
                    raise
                await asyncio.sleep(0.1)
            else:
                return int(answer["seq"])

    async def until(self, condition: Callable[[Channel], bool], deadline: float = PATIENCE) -> None:
        """Wait until ``condition`` holds. Raises :class:`TimeoutError`."""
        async with asyncio.timeout(deadline):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def take(self, event: str, payload: Any) -> None:
        """Record one server push."""
        if event == "notification":
            self.received.append(payload)
        self.events.append((event, payload))
        self._changed.set()


class PhoenixClient:
    """One socket that comes back after every break, with its channels."""

    def __init__(self, url: str, token: str, *, heartbeat: float | None = None) -> None:
        """``heartbeat``: seconds of silence after which the server is asked, and twice that until it is given up."""
        self._url = f"{url}/websocket?vsn=2.0.0"
        self._token = token
        self._heartbeat = heartbeat
        self._refs = itertools.count(1)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._channels: dict[str, Channel] = {}
        self._connected = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.close_codes: list[int | None] = []
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        async with asyncio.timeout(PATIENCE):
            await self._connected.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def next_ref(self) -> str:
        """A fresh ref."""
        return str(next(self._refs))

    async def channel(self, topic: str, **params: Any) -> Channel:
        """Join ``topic``; it is joined again after each reconnect."""
        channel = Channel(self, topic, params)
        self._channels[topic] = channel
        await channel.join()
        return channel

    async def connected(self) -> None:
        """Wait until the socket is (again) open."""
        async with asyncio.timeout(PATIENCE):
            await self._connected.wait()

    async def request(self, join_ref: str, ref: str, topic: str, event: str, payload: Any) -> dict[str, Any]:
        """Send a message and wait for its reply."""
        socket = self._socket
        if socket is None or socket.closed:
            # The task that reads may not have seen it yet; who now waits for the connection must wait for the next.
            self._connected.clear()
            raise Lost("not connected")
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[ref] = future
        try:
            await socket.send_str(orjson.dumps([join_ref, ref, topic, event, payload]).decode())
            async with asyncio.timeout(ANSWER_DEADLINE):
                reply = await future
        except TimeoutError as error:
            raise Lost("no answer in time") from error
        except ConnectionError as error:
            if self._socket is socket:
                # Broken under the hands of who sends, which the socket does not call closed yet: as above.
                self._connected.clear()
            raise Lost(str(error)) from error
        finally:
            self._answers.pop(ref, None)
        if reply["status"] != "ok":
            raise Refused(reply["response"])
        response: dict[str, Any] = reply["response"]
        return response

    async def _run(self) -> None:
        headers = {"Sec-WebSocket-Protocol": f"phoenix, base64url.bearer.phx.{_encode(self._token)}"}
        async with aiohttp.ClientSession() as session:
            while not self._closing:
                try:
                    async with asyncio.timeout(ANSWER_DEADLINE):
                        opening = session.ws_connect(
                            self._url, headers=headers, max_msg_size=0, heartbeat=self._heartbeat
                        )
                        socket = await opening
                    async with socket:
                        self._socket = socket
                        await self._serve(socket)
                        self.close_codes.append(socket.close_code)
                except (aiohttp.ClientError, ConnectionError, TimeoutError):
                    pass
                finally:
                    self._connected.clear()
                    self._fail_answers()
                await asyncio.sleep(0.1)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        rejoin = asyncio.create_task(self._rejoin(socket))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._dispatch(orjson.loads(message.data))
        finally:
            rejoin.cancel()
            await asyncio.gather(rejoin, return_exceptions=True)

    async def _rejoin(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        for channel in list(self._channels.values()):
            while True:
                try:
                    await channel.join()
                    break
                except Refused as refused:
                    if refused.response.get("code") not in RETRYABLE:
                        raise
                    await asyncio.sleep(0.2)
                except Lost:
                    # Connected to what does not answer: another connection may.
                    await socket.close()
                    return
        self.connections += 1
        self._connected.set()

    def _dispatch(self, message: list[Any]) -> None:
        _, ref, topic, event, payload = message
        if event == "phx_reply":
            future = self._answers.get(ref)
            if future is not None and not future.done():
                future.set_result(payload)
        elif (channel := self._channels.get(topic)) is not None:
            channel.take(event, payload)

    def _fail_answers(self) -> None:
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection broke"))


def _encode(token: str) -> str:
    return base64.b64encode(token.encode()).decode().rstrip("=")
