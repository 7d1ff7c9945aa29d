"""A live subscription: an asynchronous iterator that reconnects and delivers each notification once, without gaps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, Self

from notifyx.backoff import Backoff
from notifyx.channel_connection import ChannelConnection, SocketRejected
from notifyx.errors import HistoryTruncated, NotFound, NotifyxError
from notifyx.models import Missing, Notification
from notifyx.resume import ResumeCursor
from notifyx.tokens import TokenSource
from notifyx.transport import parse_answer

STABLE_SECONDS = 10.0
"""Seconds after which a connection counts as stable: the backoff then starts anew."""

MAX_REJECTIONS = 3
"""Maximum rejections of credentials in a row: a gateway may learn a new signing key a second late."""

Connect = Callable[[], Awaitable[ChannelConnection]]
State = Literal["live", "reconnecting"]
OnState = Callable[[State, NotifyxError | None], None]
OnTruncated = Callable[[HistoryTruncated], None]
Since = int | Callable[[], Awaitable[int]] | None
"""A seq, a function that fetches it, or ``None`` for the topic's head."""


class Live:
    """The result of :meth:`notifyx.Client.subscribe`: iterate it, and close it (or the client) when done.

    A lost connection is opened again without limit, or for ``give_up_after`` seconds; the first one must open within
    ``patience`` seconds. Permanent errors are raised: not allowed, no such topic, the topic was deleted.
    :class:`HistoryTruncated` is raised when notifications were removed, unless ``on_truncated`` is given and called
    with it; iterating further continues with the oldest that still exists. What is removed before its delivery while
    the subscription is live, which may be as its publisher wanted, is reported to ``on_truncated`` alone.
    """

    def __init__(
        self,
        topic: str,
        connect: Connect,
        tokens: TokenSource,
        *,
        since: Since,
        patience: float,
        give_up_after: float | None = None,
        on_state: OnState | None = None,
        on_truncated: OnTruncated | None = None,
        ended: Callable[[Live], None] | None = None,
        backoff: Backoff | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cursor = ResumeCursor(topic, since if isinstance(since, int) else None)
        self._find_since = None if isinstance(since, int) else since
        self._connect = connect
        self._tokens = tokens
        self._patience = patience
        self._give_up_after = give_up_after
        self._on_state = on_state
        self._on_truncated = on_truncated
        self._ended = ended
        self._backoff = backoff or Backoff()
        self._monotonic = monotonic
        self._connection: ChannelConnection | None = None
        self._opened_at = 0.0
        self._was_live = False
        self._failures = 0
        self._failing_since: float | None = None
        self._rejections = 0
        self._closed = False

    @property
    def topic(self) -> str:
        """The topic of the subscription."""
        return self._cursor.topic

    @property
    def last_seq(self) -> int | None:
        """The last seq that was returned; store it to resume from there in another process."""
        return self._cursor.position

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        while not self._closed:
            try:
                if self._connection is None:
                    await self.open()
                    continue
                notification = await self._receive(self._connection)
            except NotifyxError as error:
                await self._recover(error)
            else:
                if notification is not None:
                    return notification
        raise StopAsyncIteration

    async def open(self) -> None:
        """Connect and join, without retries; iterating does this by itself. Raises :class:`NotifyxError`."""
        if self._find_since is not None:
            self._cursor.position, self._find_since = await self._find_since(), None
        connection = await self._connect()
        try:
            joined = await connection.join(self._cursor.params())
        except BaseException:
            await connection.aclose()
            raise
        gap = self._cursor.joined(joined)
        if gap is not None and gap.replaced:
            await connection.aclose()
        else:
            self._connection, self._opened_at, self._was_live = connection, self._monotonic(), True
            self._failing_since, self._rejections = None, 0
            if self._on_state is not None:
                self._on_state("live", None)
        if gap is not None:
            if self._on_truncated is None:
                raise gap
            self._on_truncated(gap)

    async def aclose(self) -> None:
        """End the subscription; its iteration ends."""
        self._closed = True
        if self._ended is not None:
            self._ended(self)
        await self._close_connection()

    async def _receive(self, connection: ChannelConnection) -> Notification | None:
        frame = await connection.receive()
        if frame.event == "notification":
            notification = parse_answer(Notification, frame.payload)
            return notification if self._cursor.admit(notification.seq) else None
        if frame.event == "missing" and self._on_truncated is not None:
            self._on_truncated(self._cursor.missed(parse_answer(Missing, frame.payload)))
        if frame.event == "topic_deleted":
            await self.aclose()
            raise NotFound(f"The topic '{self.topic}' was deleted.", code="topic_deleted")
        if frame.event in ("phx_error", "phx_close"):
            # The server lost its position, or the permissions have changed: the reply to the next join shows which.
            await self._reconnect_later(None)
        return None

    async def _recover(self, error: NotifyxError) -> None:
        """Wait before the next attempt. Raises ``error`` if it is permanent."""
        if self._closed and error.retryable:
            return
        if isinstance(error, SocketRejected) and self._rejections < MAX_REJECTIONS:
            self._rejections += 1
            if self._rejections == 1:
                await self._tokens.renew(error.token, error)
        elif isinstance(error, HistoryTruncated):
            raise error
        elif not error.retryable:
            await self._close_connection()
            raise error
        await self._reconnect_later(error)

    async def _reconnect_later(self, error: NotifyxError | None) -> None:
        now = self._monotonic()
        lasted = self._connection is not None and now - self._opened_at >= STABLE_SECONDS
        await self._close_connection()
        self._failures = 1 if lasted else self._failures + 1
        if self._failing_since is None:
            self._failing_since = now
        pause = self._backoff.wait(self._failures)
        bound = self._give_up_after if self._was_live else self._patience
        if error is not None and bound is not None and now + pause - self._failing_since > bound:
            raise error
        if self._on_state is not None:
            self._on_state("reconnecting", error)
        await asyncio.sleep(pause)

    async def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()
