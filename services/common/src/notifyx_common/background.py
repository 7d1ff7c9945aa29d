"""Background tasks: the only place where a service starts one.

**The rule of all services: a fault ends the service; a dependency that is away does not.**

- An *endless* task (:meth:`Tasks.endless`) has to run as long as its owner. Its unexpected end, by an exception, by a
  return or by a cancellation that its owner did not request, is a :class:`Fault`: it is logged once with its name,
  counted in ``notifyx_background_failures_total``, ``/readyz`` fails with a sentence that names the task, and
  :func:`notifyx_common.serving.lifecycle.run` stops the process in order and exits with
  :data:`~notifyx_common.serving.lifecycle.FAULT_EXIT`, so that its supervisor (Kubernetes, ``notifyx up``) starts it
  again.
- A dependency of such a task may be away: the task names the errors that mean this (``away`` of :func:`every`). It
  logs when the absence begins and ends, waits with a :class:`~notifyx_common.backoff.Backoff`, and continues.
- A *bounded* task (:meth:`Tasks.spawn`) does one piece of work. Its failure is logged and counted, and ends nothing
  else. If callers wait for its outcome, it is started with :meth:`Tasks.shared`: they get the error, nothing is logged.
- A round of an endless task that handles users' data may be :meth:`Tasks.contained`: a defect caused by one email
  must not stop one gateway after the other. Such a round counts as a bounded task.

A service has one :class:`Background`. Each part of the service gets it injected, creates its own :class:`Tasks` from it
and closes them when it stops: they are cancelled and awaited, with a timeout.

A task group of the standard library (:class:`asyncio.TaskGroup`) is right where a function waits for its children
before it returns. It is wrong for what outlives a function, because it cancels all when one fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from notifyx_common.backoff import AROUND, Backoff, Jitter, jittered
from notifyx_common.errors import TooManyRequests
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics

log = get_logger(__name__)

T = TypeVar("T")

CLOSE_TIMEOUT = 10.0
"""Maximum time to wait for cancelled tasks, in seconds."""

DEFAULT_BACKOFF = Backoff(0.2, 5.0)

_REASON_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """The unexpected end of an endless task. ``error`` is ``None`` when it returned or was cancelled."""

    task: str
    how: str
    error: BaseException | None

    @property
    def sentence(self) -> str:
        """The reason, for ``/readyz`` and the log."""
        return f"The background task '{self.task}' {self.how}; this node stops and has to be started again."


class TooManyTasks(TooManyRequests):
    """A bounded set of tasks is full."""

    code = "too_many_tasks"


class Background:
    """The background tasks of one service, and its faults. Leaving it closes every :class:`Tasks` of it."""

    def __init__(self, metrics: Metrics) -> None:
        self.faults: list[Fault] = []
        self._endless: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[Callable[[Fault], None]] = []
        self._owners: list[Tasks] = []
        self._failures = metrics.counter("notifyx_background_failures_total")

    @property
    def fault(self) -> Fault | None:
        """The first fault."""
        return self.faults[0] if self.faults else None

    @property
    def endless(self) -> Mapping[str, asyncio.Task[None]]:
        """The running endless tasks, by name."""
        return dict(self._endless)

    def tasks(self, limit: int | None = None) -> Tasks:
        """Return a set of tasks for one part of the service; at most ``limit`` run at a time."""
        tasks = Tasks(self, limit)
        self._owners.append(tasks)
        return tasks

    def listen(self, listener: Callable[[Fault], None]) -> None:
        """Call ``listener`` with each fault: with the earlier ones at once."""
        self._listeners.append(listener)
        for fault in self.faults:
            listener(fault)

    def report(self, task: str, how: str, error: BaseException | None = None) -> None:
        """Record the unexpected end of an endless task (or thread) called ``task``: a fault of the service."""
        fault = Fault(task, how, error)
        self._failures.labels(task, "endless").inc()
        log.critical("background_task_ended", task=task, reason=fault.sentence, exc_info=error)
        self.faults.append(fault)
        for listener in self._listeners:
            listener(fault)

    def failed(self, task: str, error: BaseException) -> None:
        """Record the failure of a bounded task called ``task``."""
        self._failures.labels(task, "bounded").inc()
        log.error("background_task_failed", task=task, exc_info=error)

    async def close(self) -> None:
        """Cancel and await all tasks, those of the newest part first."""
        for tasks in reversed(self._owners):
            await tasks.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def began(self, name: str, task: asyncio.Task[None]) -> None:
        """Record the start of the endless task called ``name``."""
        self._endless[name] = task

    def ended(self, name: str) -> None:
        """Record the end of the endless task called ``name``."""
        self._endless.pop(name, None)


class Tasks:
    """The background tasks of one part of a service.

    Names are constants, because they are label values of a metric. Leaving it, or :meth:`close`, ends all tasks; a task
    that is started after that is cancelled before it runs.
    """

    __slots__ = ("_background", "_closed", "_limit", "_running")

    def __init__(self, background: Background, limit: int | None = None) -> None:
        self._background = background
        self._limit = limit
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._running)

    def endless(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` until this is closed; its end before that is a :class:`Fault`.

        Raises :class:`ValueError` when an endless task of the service has that name.
        """
        if name in self._background.endless:
            work.close()
            raise ValueError(f"two endless tasks are called '{name}'")
        task = self._start(name, work)
        self._background.began(name, task)
        task.add_done_callback(self._endless_ended)
        return task

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run one piece of work; its failure is logged and counted.

        Raises :class:`TooManyTasks` at the limit.
        """
        task = self._start(name, work)
        task.add_done_callback(self._bounded_ended)
        return task

    def shared(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work whose outcome its callers await; it is dropped silently when no caller is left."""
        task = self._start(name, work)
        task.add_done_callback(self._shared_ended)
        return task

    @contextlib.contextmanager
    def contained(self, name: str, away: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Record an error in the block as a failure of bounded task ``name``, but raise those in ``away``."""
        try:
            yield
        except away:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged with its trace, and counted
            self._background.failed(name, error)

    def cancel(self) -> None:
        """Cancel all tasks without waiting, and every task that is started from now on."""
        self._closed = True
        for task in tuple(self._running):
            task.cancel()

    async def close(self, within: float = CLOSE_TIMEOUT) -> None:
        """Cancel all tasks and wait until they have ended, for at most ``within`` seconds."""
        self._closed = True
        await cancel_and_wait(self._running, within)

    def let_end(self) -> None:
        """Stop treating the end of an endless task as a fault."""
        self._closed = True

    async def finish(self, within: float) -> None:
        """Wait up to ``within`` seconds for the tasks to end, then cancel them. Their end is no fault."""
        self.let_end()
        if self._running:
            await asyncio.wait(set(self._running), timeout=max(0.0, within))
        await self.close()

    async def settled(self) -> None:
        """Wait until no task runs."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _start(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        if self._limit is not None and len(self._running) >= self._limit:
            work.close()
            raise TooManyTasks(f"As many tasks '{name}' run as may: {self._limit}.")
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        if self._closed:
            task.cancel()
        return task

    def _shared_ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, since no caller may be left to await it

    def _bounded_ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._background.failed(task.get_name(), error)

    def _endless_ended(self, task: asyncio.Task[Any]) -> None:
        name = task.get_name()
        self._running.discard(task)
        self._background.ended(name)
        error = None if task.cancelled() else task.exception()
        if not self._closed:
            how = "was cancelled" if task.cancelled() else "returned"
            self._background.report(name, how if error is None else f"failed ({_kind(error)})", error)
        elif error is not None:
            self._background.failed(name, error)


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]], within: float = CLOSE_TIMEOUT) -> None:
    """Cancel ``tasks`` and wait for at most ``within`` seconds until they have ended; log those that have not."""
    mine = asyncio.current_task()
    waiting = {task for task in tasks if task is not mine and not task.done()}
    for task in waiting:
        task.cancel()
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=within)
        if late:
            log.error("tasks_still_running", tasks=sorted(task.get_name() for task in late))


async def every(
    interval: float | None,
    step: Callable[[], Awaitable[float | None]],
    *,
    away: tuple[type[Exception], ...] = (),
    backoff: Backoff = DEFAULT_BACKOFF,
    deadline: float | None = None,
    jitter: Jitter = AROUND,
    wake: asyncio.Event | None = None,
    min_pause: float = 0.0,
    wait_first: bool = False,
) -> None:
    """Run ``step`` for ever, with a pause of ``interval`` seconds (times ``jitter``) between two rounds.

    ``step`` may return another pause for this time. An ``interval`` of ``None`` waits for ``wake`` alone. The event
    ``wake`` ends any pause early, but not before ``min_pause`` seconds; it is cleared before each step. ``wait_first``
    begins with a pause.

    An error in ``away``, or a step that takes longer than ``deadline`` seconds, means that a dependency is away: the
    step is repeated after ``backoff``, which ``wake`` does not shorten. Any other error ends the loop.
    """
    failures = 0
    if wait_first:
        await _pause(interval, jitter, wake, min_pause)
    while True:
        if wake is not None:
            wake.clear()
        limit = asyncio.timeout(deadline)
        try:
            async with limit:
                wanted = await step()
        except Exception as error:
            if not (isinstance(error, away) or limit.expired()):
                raise
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # what a library says of a lost connection may hide it
                raise asyncio.CancelledError from error
            failures += 1
            if failures == 1:
                reason = str(error)[:_REASON_LIMIT]
                log.warning("background_work_waiting", task=_name(), error=type(error).__name__, reason=reason)
            await asyncio.sleep(backoff.after(failures))
            continue
        if failures:
            log.info("background_work_resumed", task=_name(), failures=failures)
            failures = 0
        await _pause(interval if wanted is None else wanted, jitter, wake, min_pause)


async def pause(seconds: float | None, wake: asyncio.Event) -> None:
    """Wait for ``seconds`` (``None``: without end), or until ``wake`` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()


async def _pause(seconds: float | None, jitter: Jitter, wake: asyncio.Event | None, min_pause: float) -> None:
    if seconds is not None:
        seconds = jittered(seconds, jitter)
    if wake is None:
        assert seconds is not None, "nothing would ever end this pause"
        await asyncio.sleep(seconds)
        return
    if min_pause:
        await asyncio.sleep(min_pause if seconds is None else min(seconds, min_pause))
    left = None if seconds is None else seconds - min_pause
    if left is None or left > 0:
        await pause(left, wake)
    elif not min_pause:
        await asyncio.sleep(0)


def _kind(error: BaseException) -> str:
    """Return the name of the error's class; of the first one inside a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


def _name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
