"""One connection of a subscription: joins one channel, keeps the connection and its token alive, hands frames over.

Nothing is read ahead: frames are taken when the subscription is iterated, so a slow reader slows the server down. The
server closes the connection when too much waits for it, and the subscription resumes later from where it was.
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
from notifyx.shapes import Joined
from notifyx.tokens import TokenSource
from notifyx.transport import explain, shaped

HEARTBEAT_SECONDS = 25.0
"""The server closes what is silent for 60 s."""

SILENCE_SECONDS = 60.0
"""Without any frame for this long, answers to heartbeats included, the connection is dead."""

OPEN_SECONDS = 10.0
JOIN_SECONDS = 10.0
CLOSE_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often the age of the token is looked at."""

RETRY_SECONDS = 5.0
"""Time between two attempts to hand over a newer token."""

MAX_FRAME = 8 << 20
OWN = "user:me"
JOIN, OWN_JOIN, OWN_LEAVE, TOKEN, BEAT = "1", "2", "3", "4", "5"
"""Refs, one for each kind of message: never are two of a kind under way."""


class Link:
    """An open connection that follows one channel."""

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
        """Join the channel; what the server says of it. Raises :class:`NotifyxError`."""
        await self._send(Frame(JOIN, JOIN, self._channel, "phx_join", params))
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                frame = await self._next()
                while frame.event != "phx_reply" or frame.ref != JOIN:
                    frame = await self._next()
        except TimeoutError:
            raise AnswerLost(f"{self._url} did not answer the join within {JOIN_SECONDS:g} s.") from None
        ok, response = frames.reply(frame)
        if not ok:
            raise from_reply(response)
        self._alive = asyncio.create_task(self._keep_alive(), name=f"heartbeat of {self._channel}")
        return shaped(Joined, response)

    async def receive(self) -> Frame:
        """The next frame of the channel. Raises :class:`AnswerLost` when the connection is gone."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    frame = await self._next()
            except TimeoutError:
                raise AnswerLost(f"{self._url} has been silent for {SILENCE_SECONDS:g} s.") from None
            if frame.event == "phx_reply":
                await self._answered(frame)
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
            raise explain(error, self._url) from error

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + HEARTBEAT_SECONDS * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        while not self._socket.closed:
            await asyncio.sleep(LOOK_SECONDS)
            # What goes wrong here shows where frames are received: the network, or the server, closes the connection.
            try:
                if loop.time() >= beat_at:
                    beat_at = loop.time() + HEARTBEAT_SECONDS
                    await self._send(Frame(None, BEAT, "phoenix", "heartbeat", {}))
                if self._now() >= self._renew_at:
                    self._renew_at = self._now() + RETRY_SECONDS
                    await self._hand_over(await self._tokens.token())
            except NotifyxError:
                continue

    async def _hand_over(self, token: str) -> None:
        """Go on with a newer token. It is pushed on the user's own channel, which may have to be joined for that."""
        if token == self._token:
            return
        if self._channel == OWN:
            await self._send(Frame(JOIN, TOKEN, OWN, "access_token", {"token": token}))
        else:
            await self._send(Frame(OWN_JOIN, OWN_JOIN, OWN, "phx_join", {}))
            await self._send(Frame(OWN_JOIN, TOKEN, OWN, "access_token", {"token": token}))
        self._token = token
        self._renew_at = self._tokens.renew_at()

    async def _answered(self, frame: Frame) -> None:
        if frame.ref != TOKEN:
            return
        if not frames.reply(frame)[0]:
            self._token = ""
            self._renew_at = self._now() + RETRY_SECONDS
        if self._channel != OWN:
            await self._send(Frame(OWN_JOIN, OWN_LEAVE, OWN, "phx_leave", {}))


async def open_link(session: aiohttp.ClientSession, url: str, topic: str, tokens: TokenSource) -> Link:
    """Connect to the socket endpoint ``url``.

    Raises :class:`NotLoggedIn` when the credential is refused, else another :class:`NotifyxError`.
    """
    token = await tokens.token()
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            socket = await session.ws_connect(
                f"{url.rstrip('/')}/websocket?{frames.QUERY}",
                protocols=frames.subprotocols(token),
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                max_msg_size=MAX_FRAME,
            )
    except aiohttp.WSServerHandshakeError as error:
        raise _refused(error.status, url, token) from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise explain(error, url) from error
    return Link(socket, url, topic, token, tokens)


class SocketRefused(NotLoggedIn):
    """The socket answered 403. ``token`` is the one that was shown."""

    code = "socket_refused"

    def __init__(self, reason: str, token: str) -> None:
        super().__init__(reason)
        self.token = token


def _refused(status: int, url: str, token: str) -> NotifyxError:
    if status == 403:
        return SocketRefused(f"The socket {url} does not take the credentials.", token)
    if status == 503:
        return Unavailable(f"The socket {url} takes no connections now.")
    if status in (500, 502, 504):
        return Unreachable(f"The socket {url} cannot be reached: what is in front of it answers {status}.")
    return UnexpectedAnswer(f"{url} is no socket of a Notifyx: it answers {status}.")
