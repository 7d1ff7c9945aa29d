"""A topic, live: an asynchronous iterator that reconnects by itself and leaves nothing out, nor gives it twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, Self

from notifyx.backoff import Backoff
from notifyx.errors import HistoryTruncated, NotFound, NotifyxError
from notifyx.link import Link, SocketRefused
from notifyx.resume import Cursor
from notifyx.shapes import Notification
from notifyx.tokens import TokenSource
from notifyx.transport import shaped

STABLE_SECONDS = 10.0
"""A connection that lasted this long was a good one: the next wait is short again."""

REFUSALS = 3
"""Times in a row a socket may refuse credentials: a gateway may not know the newest signing key for a second."""

Connect = Callable[[], Awaitable[Link]]
State = Literal["live", "reconnecting"]
OnState = Callable[[State, NotifyxError | None], None]
OnTruncated = Callable[[HistoryTruncated], None]
Since = int | Callable[[], Awaitable[int]] | None
"""A seq, how to find it out, or ``None`` for where the topic ends."""


class Live:
    """What :meth:`notifyx.Client.subscribe` gives: iterate it, and close it (or the client) when done.

    A broken connection is opened again for as long as it takes, or ``give_up_after`` seconds; the very first one within
    ``patience`` seconds. What cannot be mended by waiting is raised: not allowed, no such topic, the topic deleted.
    :class:`HistoryTruncated` is raised when a part is gone, unless ``on_truncated`` is there to be told; iterating
    further goes on with what is left.
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
        self._cursor = Cursor(topic, since if isinstance(since, int) else None)
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
        self._link: Link | None = None
        self._opened_at = 0.0
        self._once = False
        self._failures = 0
        self._failing_since: float | None = None
        self._refusals = 0
        self._closed = False

    @property
    def topic(self) -> str:
        """The topic that is followed."""
        return self._cursor.topic

    @property
    def last_seq(self) -> int | None:
        """The last seq that was taken; keep it, to go on from there in another process."""
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
                if self._link is None:
                    await self.open()
                    continue
                found = await self._receive(self._link)
            except NotifyxError as error:
                await self._recover(error)
            else:
                if found is not None:
                    return found
        raise StopAsyncIteration

    async def open(self) -> None:
        """Connect and join, once; iterating does this by itself. Raises :class:`NotifyxError`."""
        if self._find_since is not None:
            self._cursor.position, self._find_since = await self._find_since(), None
        link = await self._connect()
        try:
            joined = await link.join(self._cursor.params())
        except BaseException:
            await link.aclose()
            raise
        gap = self._cursor.joined(joined)
        if gap is not None and gap.replaced:
            await link.aclose()
        else:
            self._link, self._opened_at, self._once = link, self._monotonic(), True
            self._failing_since, self._refusals = None, 0
            if self._on_state is not None:
                self._on_state("live", None)
        if gap is not None:
            if self._on_truncated is None:
                raise gap
            self._on_truncated(gap)

    async def aclose(self) -> None:
        """End the subscription; whoever iterates it sees its end."""
        self._closed = True
        if self._ended is not None:
            self._ended(self)
        await self._drop()

    async def _receive(self, link: Link) -> Notification | None:
        frame = await link.receive()
        if frame.event == "notification":
            notification = shaped(Notification, frame.payload)
            return notification if self._cursor.admit(notification.seq) else None
        if frame.event == "topic_deleted":
            await self.aclose()
            raise NotFound(f"The topic '{self.topic}' was deleted.", code="topic_deleted")
        if frame.event in ("phx_error", "phx_close"):
            # The server lost its place, or what the caller may do has changed: the answer to the next join tells.
            await self._lost(None)
        return None

    async def _recover(self, error: NotifyxError) -> None:
        """Wait before the next try. Raises ``error`` when there is to be none."""
        if self._closed and error.retryable:
            return
        if isinstance(error, SocketRefused) and self._refusals < REFUSALS:
            self._refusals += 1
            if self._refusals == 1:
                await self._tokens.renew(error.token, error)
        elif isinstance(error, HistoryTruncated):
            raise error
        elif not error.retryable:
            await self._drop()
            raise error
        await self._lost(error)

    async def _lost(self, error: NotifyxError | None) -> None:
        now = self._monotonic()
        lasted = self._link is not None and now - self._opened_at >= STABLE_SECONDS
        await self._drop()
        self._failures = 1 if lasted else self._failures + 1
        if self._failing_since is None:
            self._failing_since = now
        pause = self._backoff.wait(self._failures)
        bound = self._give_up_after if self._once else self._patience
        if error is not None and bound is not None and now + pause - self._failing_since > bound:
            raise error
        if self._on_state is not None:
            self._on_state("reconnecting", error)
        await asyncio.sleep(pause)

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()
