"""Mails that are sent after the answer to the request that caused them: bounded, counted, and finished at a stop.

Work that depends on whether an account exists begins at a random later moment (:meth:`BackgroundMails.begin_later`).
Were it done right after the answer, other answers of that moment would take longer for an address that has an account.

The queue is in memory: at a stop the mails in it are sent at once, but what a crash ends is lost. So whoever is
answered before the mail is sent is told to ask again if none arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

from notifyx_common.background import Background, TooManyTasks, pause
from notifyx_common.backoff import between
from notifyx_common.errors import NotFound, NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics

log = get_logger(__name__)

MAX_PENDING = 500
"""Maximum number of mails that wait or are in progress."""

MAX_CONCURRENT = 50
"""Maximum number of mails in progress."""

LAST_SECONDS = 1.0
"""Time for mails that were begun after :meth:`BackgroundMails.drain`, at the end of a stop."""


class BackgroundMails:
    """An async context manager; leaving it cancels the mails that are not sent within :data:`LAST_SECONDS`."""

    def __init__(self, *, delay: float, metrics: Metrics, background: Background) -> None:
        """``delay`` is the longest time in seconds that a mail of :meth:`begin_later` waits."""
        self._delay = delay
        self._mails = metrics.counter("notifyx_account_mails_total")
        self._turns = asyncio.Semaphore(MAX_CONCURRENT)
        self._stopping = asyncio.Event()
        self._tasks = background.tasks(limit=MAX_PENDING)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await self._tasks.finish(LAST_SECONDS)

    async def drain(self) -> None:
        """Send at once all that waits, and from now on without a pause; return when nothing is in progress."""
        self._stopping.set()
        await self._tasks.settled()

    def begin(self, kind: str, work: Coroutine[None, None, None]) -> None:
        """Do ``work``, which sends a mail, in the background. Raises :class:`TooManyTasks`."""
        self._spawn(kind, work, 0.0)

    def begin_later(self, kind: str, work: Coroutine[None, None, None]) -> None:
        """Do ``work``, which depends on whether an account exists, at a random moment. Raises :class:`TooManyTasks`."""
        self._spawn(kind, work, between(0.0, self._delay))

    def _spawn(self, kind: str, work: Coroutine[None, None, None], seconds: float) -> None:
        try:
            self._tasks.spawn("account mail", self._counted(kind, work, seconds))
        except TooManyTasks:
            work.close()
            self._mails.labels(kind, "dropped").inc()
            log.warning("account_mail_failed", kind=kind, reason="too many in progress")
            raise

    async def _counted(self, kind: str, work: Coroutine[None, None, None], seconds: float) -> None:
        result = "failed"
        try:
            if seconds:
                await pause(seconds, self._stopping)
            async with self._turns:
                await work
            result = "sent"
        except NotFound:
            result = "nobody"
        except NotifyxError as error:
            log.info("account_mail_failed", kind=kind, code=error.code, reason=error.technical)
        except asyncio.CancelledError:
            log.warning("account_mail_failed", kind=kind, reason="the gateway stopped before it was sent")
            raise
        finally:
            work.close()
            self._mails.labels(kind, result).inc()
