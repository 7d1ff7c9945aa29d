"""One connection of a subscription: joins one channel, sends heartbeats, renews its token, returns received frames.

Frames are not read ahead, only when the subscription is iterated, so a slow reader causes backpressure. The server
closes the connection when too much is queued for it; the subscription then reconnects and resumes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import aiohttp

from notifyx import frames
from notifyx.errors import (
    AnswerLost,
    NotifyxError,
    NotLoggedIn,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    from_reply,
)
from notifyx.frames import Frame
from notifyx.models import Joined
from notifyx.tokens import TokenSource
from notifyx.transport import parse_answer, to_error

HEARTBEAT_INTERVAL = 25.0
"""Seconds between two heartbeats. The server closes a connection that is silent for 60 s."""

SILENCE_TIMEOUT = 60.0
"""Seconds without a frame, replies to heartbeats included, after which the connection counts as lost."""

OPEN_TIMEOUT = 10.0
JOIN_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
TOKEN_CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the token has to be renewed."""

RETRY_INTERVAL = 5.0
"""Seconds between two attempts to send a new token."""

MAX_FRAME = 8 << 20
USER_CHANNEL = "user:me"
JOIN_REF, USER_JOIN_REF, USER_LEAVE_REF, TOKEN_REF, HEARTBEAT_REF = "1", "2", "3", "4", "5"
"""Refs, one for each kind of message: at most one of each kind awaits its reply."""


class ChannelConnection:
    """An open connection with one joined channel."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        url: str,
        topic: str,
        token: str,
        tokens: TokenSource,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._socket = socket
        self._url = url
        self._channel = frames.channel(topic)
        self._token = token
        self._tokens = tokens
        self._now = now
        self._renew_at = tokens.renew_at()
        self._alive: asyncio.Task[None] | None = None

    async def join(self, params: dict[str, int]) -> Joined:
        """Join the channel; return the server's reply. Raises :class:`NotifyxError`."""
        await self._send(Frame(JOIN_REF, JOIN_REF, self._channel, "phx_join", params))
        try:
            async with asyncio.timeout(JOIN_TIMEOUT):
                frame = await self._next()
                while frame.event != "phx_reply" or frame.ref != JOIN_REF:
                    frame = await self._next()
        except TimeoutError:
            raise AnswerLost(f"{self._url} did not answer the join within {JOIN_TIMEOUT:g} s.") from None
        ok, response = frames.reply(frame)
        if not ok:
            raise from_reply(response)
        self._alive = asyncio.create_task(self._keep_alive(), name=f"heartbeat of {self._channel}")
        return parse_answer(Joined, response)

    async def receive(self) -> Frame:
        """Return the next frame of the channel. Raises :class:`AnswerLost` when the connection is lost."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_TIMEOUT):
                    frame = await self._next()
            except TimeoutError:
                raise AnswerLost(f"{self._url} has been silent for {SILENCE_TIMEOUT:g} s.") from None
            if frame.event == "phx_reply":
                await self._handle_reply(frame)
            elif frame.topic == self._channel:
                return frame

    async def aclose(self) -> None:
        """Close the connection."""
        if self._alive is not None:
            self._alive.cancel()
            await asyncio.gather(self._alive, return_exceptions=True)
        await self._socket.close()

    async def _next(self) -> Frame:
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                frame = frames.decode(message.data)
                if frame is not None:
                    return frame
            elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                raise AnswerLost(f"{self._url} closed the connection (code {self._socket.close_code}).")
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise AnswerLost(f"The connection to {self._url} broke.")

    async def _send(self, frame: Frame) -> None:
        try:
            await self._socket.send_str(frame.encode())
        except (aiohttp.ClientError, OSError) as error:
            raise to_error(error, self._url) from error

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + HEARTBEAT_INTERVAL * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        while not self._socket.closed:
            await asyncio.sleep(TOKEN_CHECK_INTERVAL)
            # An error shows in receive() as well: the network, or the server, closes the connection.
            try:
                if loop.time() >= heartbeat_at:
                    heartbeat_at = loop.time() + HEARTBEAT_INTERVAL
                    await self._send(Frame(None, HEARTBEAT_REF, "phoenix", "heartbeat", {}))
                if self._now() >= self._renew_at:
                    self._renew_at = self._now() + RETRY_INTERVAL
                    await self._replace_token(await self._tokens.token())
            except NotifyxError:
                continue

    async def _replace_token(self, token: str) -> None:
        """Send a new token. It is pushed on the user's own channel, which is joined for that if necessary."""
        if token == self._token:
            return
        if self._channel == USER_CHANNEL:
            await self._send(Frame(JOIN_REF, TOKEN_REF, USER_CHANNEL, "access_token", {"token": token}))
        else:
            await self._send(Frame(USER_JOIN_REF, USER_JOIN_REF, USER_CHANNEL, "phx_join", {}))
            await self._send(Frame(USER_JOIN_REF, TOKEN_REF, USER_CHANNEL, "access_token", {"token": token}))
        self._token = token
        self._renew_at = self._tokens.renew_at()

    async def _handle_reply(self, frame: Frame) -> None:
        if frame.ref != TOKEN_REF:
            return
        if not frames.reply(frame)[0]:
            self._token = ""
            self._renew_at = self._now() + RETRY_INTERVAL
        if self._channel != USER_CHANNEL:
            await self._send(Frame(USER_JOIN_REF, USER_LEAVE_REF, USER_CHANNEL, "phx_leave", {}))


async def open_connection(
    session: aiohttp.ClientSession, url: str, topic: str, tokens: TokenSource
) -> ChannelConnection:
    """Connect to the socket endpoint ``url``.

    Raises :class:`SocketRejected` if the credentials are rejected, else another :class:`NotifyxError`.
    """
    token = await tokens.token()
    try:
        async with asyncio.timeout(OPEN_TIMEOUT):
            socket = await session.ws_connect(
                f"{url.rstrip('/')}/websocket?{frames.QUERY}",
                protocols=frames.subprotocols(token),
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                max_msg_size=MAX_FRAME,
            )
    except aiohttp.WSServerHandshakeError as error:
        raise _to_rejection(error.status, url, token) from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise to_error(error, url) from error
    return ChannelConnection(socket, url, topic, token, tokens)


class SocketRejected(NotLoggedIn):
    """The socket answered 403. ``token`` is the one that it rejected."""

    code = "socket_refused"

    def __init__(self, reason: str, token: str) -> None:
        super().__init__(reason)
        self.token = token


def _to_rejection(status: int, url: str, token: str) -> NotifyxError:
    if status == 403:
        return SocketRejected(f"The socket {url} does not accept the credentials.", token)
    if status == 503:
        return Unavailable(f"The socket {url} accepts no connections now.")
    if status in (500, 502, 504):
        return Unreachable(f"The socket {url} cannot be reached: a proxy in front of it answers {status}.")
    return UnexpectedAnswer(f"{url} is no socket of a Notifyx: it answers {status}.")
