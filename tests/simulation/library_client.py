"""The Python client's own subscription (``notifyx.Live``), whose connections are simulated."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from notifyx.channel_connection import ChannelConnection
from notifyx.errors import HistoryTruncated, NotifyxError, Unreachable
from notifyx.frames import Frame
from notifyx.live import Live, State
from notifyx.models import Joined
from notifyx.tokens import TokenSource
from simulation.receivers import FINAL, Receiver
from simulation.wires import Open, SocketWire


class FixedToken:
    """A token that never expires."""

    async def token(self) -> str:
        return "token"

    async def renew(self, rejected: str, why: Exception) -> str:
        raise why

    def renew_at(self) -> float:
        return float("inf")


class Socket:
    """Stands for ``aiohttp.ClientWebSocketResponse``."""

    close_code = 1006

    def __init__(self, wire: SocketWire) -> None:
        self._wire = wire
        self.closed = False

    async def send_str(self, text: str) -> None:
        """Send a message."""
        self._wire.send(text.encode())

    async def receive(self) -> Any:
        """Return the next message, or that the connection has ended."""
        text = await self._wire.receive()
        if text is None:
            self.closed = True
            return SimpleNamespace(type=aiohttp.WSMsgType.CLOSED, data=None)
        return SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=text.decode())

    async def close(self) -> None:
        """Close the connection."""
        self.closed = True
        self._wire.close()


class _Recorded(ChannelConnection):
    """Records its join."""

    receiver: LiveReceiver

    async def join(self, params: dict[str, int]) -> Joined:
        started = self.receiver.record.now()
        joined = await super().join(params)
        self.receiver._was_joined(self.receiver.topic, started, joined.model_dump())
        return joined

    async def receive(self) -> Frame:
        frame = await super().receive()
        if frame.event == "acked":  # it is not for those who iterate
            self.receiver._acked(self.receiver.topic, frame.payload)
        if frame.event == "missing":
            self.receiver._missed(self.receiver.topic, frame.payload)
        return frame


class LiveReceiver(Receiver):
    """Iterates a subscription of one topic."""

    via = "socket"

    def __init__(self, name: str, user: str, topics: dict[str, bool], record: Any, connect: Open) -> None:
        super().__init__(name, user, dict(list(topics.items())[:1]), record, connect)
        self.topic = next(iter(topics))
        self._socket: Socket | None = None

    def disconnect(self) -> None:
        if self._socket is not None:
            self._socket._wire.close()

    async def _open(self) -> ChannelConnection:
        await self.awake.wait()
        try:
            wire = await SocketWire.open(self.connect, self.user)
        except ConnectionRefusedError as error:
            raise Unreachable("It cannot be reached.") from error
        socket = self._socket = Socket(wire)
        tokens: TokenSource = FixedToken()
        connection = _Recorded(
            cast(aiohttp.ClientWebSocketResponse, socket), "http://simulated", self.topic, "token", tokens
        )
        connection.receiver = self
        return connection

    async def _session(self) -> None:
        def on_state(state: State, error: NotifyxError | None) -> None:
            if state == "reconnecting":
                self._left()

        def on_truncated(gap: HistoryTruncated) -> None:
            """The record has it from the join, or from the frame."""

        live = Live(
            self.topic,
            self._open,
            FixedToken(),
            since=self.cursors[self.topic],
            patience=300.0,
            on_state=on_state,
            on_truncated=on_truncated,
            monotonic=self.record.now,
        )
        try:
            async for notification in live:
                self._received(self.topic, {"seq": notification.seq, "title": notification.title})
        except NotifyxError as error:
            self._refused(self.topic, error.code)
            if error.code in FINAL:
                await asyncio.Event().wait()
        finally:
            await live.aclose()
