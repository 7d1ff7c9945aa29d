"""Runs a call at one node and, if that takes unusually long, a copy of it at another one: the first answer counts.

When and how often is decided in ``hedging``. The call itself runs in its caller's task, which is all there is to most
of them. A copy has a task of its own. If its answer comes first, the call at the first node is ended here, and its
connection closed; that node may still carry it out. A copy that comes second runs to its end, and its answer is
dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, NamedTuple, TypeVar

from notifyx_common.background import Background
from notifyx_common.calls.hedging import BURST, Budget, UsualTime
from notifyx_common.errors import DeadlineExceeded, NotifyxError, Unavailable
from notifyx_common.metrics import Metrics

UNREAD = 0.001
"""Seconds between the time of a copy and sending it: where the caller itself did not run for a while, the answer may
have arrived without having been read."""

T = TypeVar("T")

Work = Callable[[], Coroutine[None, None, T]]


class Runners(NamedTuple, Generic[T]):
    """What runs for one answer: ``first``, and after a while ``second``, which returns ``None`` if there is no node.

    ``outrun`` is called if the answer of the second comes first. ``settles``: whether an answer of the first is that of
    the second as well, since the call changes nothing, or since the second finds what the first has done. An answer of
    the second always settles. ``changes``: an error settles nothing.
    """

    first: Work[T]
    second: Callable[[], Work[T] | None]
    outrun: Callable[[], None]
    settles: Callable[[T], bool]
    changes: bool


class Races:
    """The calls to one service, and the copies of them."""

    def __init__(self, service: str, share: float, *, background: Background, metrics: Metrics) -> None:
        self._service = service
        self._budget = Budget(share, BURST)
        self._usual: dict[str, UsualTime] = {}
        self._tasks = background.tasks()
        self._copies = metrics.counter("notifyx_client_copies_total")

    def usual(self, operation: str) -> UsualTime:
        """Return the usual time of calls of that kind."""
        found = self._usual.get(operation)
        if found is None:
            found = self._usual[operation] = UsualTime()
        return found

    async def run(self, operation: str, runners: Runners[T]) -> T:
        """Return the answer of the first, or of the second if that comes earlier.

        Raises the first's :class:`NotifyxError`; or the second's, after which the outcome is not known.
        """
        self._budget.earn()
        delay = self.usual(operation).delay
        if delay is None:
            return await runners.first()
        race = _Race(self, runners)
        try:
            async with asyncio.timeout(None) as limit:
                race.begin(limit, delay)
                try:
                    ended: T | NotifyxError = await runners.first()
                finally:
                    race.end()
        except TimeoutError:
            self.count("won")
            runners.outrun()
            return _value(race.answer())
        except NotifyxError as error:
            if race.copy is None:
                raise
            ended = error
        except BaseException:
            race.cancel()
            raise
        if race.copy is None:
            return _value(ended)
        if _is_answer(ended, runners) and (isinstance(ended, NotifyxError) or runners.settles(ended)):
            self.count("lost")
            return _value(ended)
        answer = await race.copy
        if _is_answer(answer, runners):
            self.count("won")
            return _value(answer)
        self.count("failed")
        # Nothing was accepted by a node that is unavailable; with any other error, it may have been.
        return _value(ended if isinstance(answer, Unavailable) else answer)

    def send(self, second: Callable[[], Work[T] | None]) -> asyncio.Task[T | NotifyxError] | None:
        """Send a copy if the budget allows it and there is a node for it."""
        if not self._budget.affordable:
            self.count("withheld")
            return None
        if (work := second()) is None:
            return None
        self._budget.spend()
        return self._tasks.spawn("copy of a call", _outcome(work))

    def count(self, result: str) -> None:
        """Count a copy by what became of it."""
        self._copies.labels(self._service, result).inc()

    async def close(self) -> None:
        """End all copies."""
        await self._tasks.close()


class _Race(Generic[T]):
    """One call and its copy."""

    __slots__ = ("_limit", "_races", "_runners", "_timer", "copy")

    def __init__(self, races: Races, runners: Runners[T]) -> None:
        self._races = races
        self._runners = runners
        self._timer: asyncio.TimerHandle | None = None
        self._limit: asyncio.Timeout | None = None
        self.copy: asyncio.Task[T | NotifyxError] | None = None

    def begin(self, limit: asyncio.Timeout, delay: float) -> None:
        """Send a copy after ``delay``, and have ``limit`` expire when it is answered."""
        self._limit = limit
        self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def end(self) -> None:
        """Note that the first has ended: no copy is sent any more."""
        self._limit = None
        if self._timer is not None:
            self._timer.cancel()

    def cancel(self) -> None:
        """End the copy: nobody waits for it."""
        if self.copy is not None:
            self.copy.cancel()

    def answer(self) -> T | NotifyxError:
        """Return the answer of the copy, which has come."""
        assert self.copy is not None
        return self.copy.result()

    def _due(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(UNREAD, self._send)

    def _send(self) -> None:
        self.copy = self._races.send(self._runners.second)
        if self.copy is not None:
            self.copy.add_done_callback(self._answered)

    def _answered(self, copy: asyncio.Task[T | NotifyxError]) -> None:
        failed = copy.cancelled() or copy.exception() is not None or not _is_answer(copy.result(), self._runners)
        if self._limit is not None and not failed:
            self._limit.reschedule(asyncio.get_running_loop().time())
            self._limit = None


async def _outcome(work: Work[T]) -> T | NotifyxError:
    try:
        return await work()
    except NotifyxError as error:
        return error


def _is_answer(outcome: T | NotifyxError, runners: Runners[T]) -> bool:
    """Return whether a node has answered; for a call that changes something, whether it says what it did."""
    if isinstance(outcome, NotifyxError):
        return not runners.changes and not isinstance(outcome, Unavailable | DeadlineExceeded)
    return True


def _value(outcome: T | NotifyxError) -> T:
    if isinstance(outcome, NotifyxError):
        raise outcome
    return outcome
