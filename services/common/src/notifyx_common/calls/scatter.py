"""Scatter tasks over several nodes, in chunks, with exactly one result for each task.

:class:`ScatterPlan` decides, without I/O or a clock, which chunk of tasks goes to which node. :func:`scatter` sends the
chunks, applies the timeouts and reports outcomes to the plan. Guarantees:

- every task settles exactly once: with the first value that a node returned for it, or as failed;
- a chunk that failed or timed out goes to a node that has not tried it yet, if there is one; a late answer of an
  earlier attempt is ignored;
- a node that failed receives no more work while another one is healthy, and no node has more than ``per_node``
  chunks of all scatters that share :class:`Slots`, so that a node that hangs delays few tasks;
- attempts, concurrency and the total duration are bounded.

A task may be *executed* twice (a node can do the work and die before it answers), so a second execution must be
harmless or recognisable.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import Counter as PrometheusCounter

from notifyx_common.backoff import Backoff, between
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.errors import DeadlineExceeded, Internal, NotifyxError
from notifyx_common.metrics import Metrics

T = TypeVar("T")
R = TypeVar("R")


_ROUNDS = Backoff(0.1, 2.0)


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """The answer for a task that a node did not execute: another node may try it at once."""

    reason: str


@dataclass(frozen=True, slots=True)
class TaskResult(Generic[R]):
    """The one result of a task.

    ``value`` is ``None`` when no attempt returned one; ``reason`` then holds the cause, and ``attempts`` of 0 means
    that the task was never sent. ``node`` is the instance that returned the value.
    """

    value: R | None
    node: str = ""
    attempts: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to send: these tasks (by position), to this node; ``number`` counts from 1."""

    id: int
    endpoint: Endpoint
    tasks: tuple[int, ...]
    number: int
    tried: frozenset[str]


class Slots:
    """The chunks that nodes have, at most ``per_node`` each; scatters that run at the same time may share it."""

    def __init__(self, per_node: int = 2) -> None:
        self.per_node = per_node
        self._load: Counter[str] = Counter()
        self._last = ""
        self._released: asyncio.Future[None] | None = None

    def free(self, endpoints: Iterable[Endpoint]) -> int:
        """Return how many more chunks these nodes may have."""
        return sum(max(0, self.per_node - self._load[endpoint.url]) for endpoint in endpoints)

    def with_room(self, endpoints: Iterable[Endpoint]) -> list[Endpoint]:
        """Return the nodes that may have another chunk."""
        return [endpoint for endpoint in endpoints if self._load[endpoint.url] < self.per_node]

    def occupy_next(self, choice: Iterable[Endpoint]) -> Endpoint:
        """Give a chunk to the node of ``choice`` whose turn it is, and return that node."""
        ordered = sorted(choice, key=lambda endpoint: endpoint.url)
        chosen = next((endpoint for endpoint in ordered if endpoint.url > self._last), ordered[0])
        self._last = chosen.url
        self._load[chosen.url] += 1
        return chosen

    def release(self, endpoint: Endpoint) -> None:
        """Record that the node has one chunk less."""
        self._load[endpoint.url] -= 1
        if self._released is not None:
            self._released.set_result(None)
            self._released = None

    def released(self) -> asyncio.Future[None]:
        """Return a future of the next release, the same one for all who wait; do not cancel it."""
        if self._released is None:
            self._released = asyncio.get_running_loop().create_future()
        return self._released


@dataclass(frozen=True, slots=True)
class _Chunk:
    tasks: tuple[int, ...]
    attempts: int = 0
    tried: frozenset[str] = frozenset()


class ScatterPlan:
    """Decides which chunk goes to which node next. Pure: callers report the outcomes."""

    def __init__(
        self, count: int, *, chunk: int = 25, attempts: int = 4, concurrency: int = 16, slots: Slots | None = None
    ) -> None:
        self._queue = deque(_Chunk(tuple(range(at, min(at + chunk, count)))) for at in range(0, count, chunk))
        self._attempts = attempts
        self._concurrency = concurrency
        self._slots = slots or Slots()
        self._running: dict[int, Attempt] = {}
        self._suspects: set[str] = set()
        self._ids = 0

    @property
    def done(self) -> bool:
        """Whether every task has settled."""
        return not self._queue and not self._running

    def next_attempt(self, endpoints: Sequence[Endpoint]) -> Attempt | None:
        """Return the next request to send; ``None`` while there is no chunk to send or no node with room."""
        if not self._queue or len(self._running) >= self._concurrency:
            return None
        healthy = [endpoint for endpoint in endpoints if endpoint.url not in self._suspects] or list(endpoints)
        free = self._slots.with_room(healthy)
        if not free:
            return None
        for position, chunk in enumerate(self._queue):
            untried = [endpoint for endpoint in free if endpoint.url not in chunk.tried]
            # Wait for a node that has not tried the chunk; once all have tried it, use any.
            choice = untried or (free if all(endpoint.url in chunk.tried for endpoint in healthy) else [])
            if choice:
                del self._queue[position]
                return self._start(chunk, self._slots.occupy_next(choice))
        return None

    def record_answer(self, attempt: Attempt, tasks: Collection[int]) -> tuple[list[int], list[int]]:
        """Record that the node answered for ``tasks``; the other tasks of the attempt are planned again.

        Return the tasks that settle with the node's values, and those that settle as failed. Both are empty for an
        attempt that has already ended.
        """
        if not self._finish_attempt(attempt):
            return [], []
        missing = tuple(task for task in attempt.tasks if task not in tasks)
        settled = [task for task in attempt.tasks if task in tasks]
        if not missing:
            self._suspects.discard(attempt.endpoint.url)
            return settled, []
        return settled, self._requeue(attempt, missing)

    def record_failure(self, attempt: Attempt) -> list[int]:
        """Record that the attempt failed or timed out; return the tasks that settle as failed."""
        return self._requeue(attempt, attempt.tasks) if self._finish_attempt(attempt) else []

    def abandon(self) -> list[int]:
        """Stop; return every task that has not settled, which now settles as failed."""
        left = [task for chunk in self._queue for task in chunk.tasks]
        left += [task for attempt in self._running.values() for task in attempt.tasks]
        self._queue.clear()
        for attempt in tuple(self._running.values()):
            self._finish_attempt(attempt)
        return sorted(left)

    def _start(self, chunk: _Chunk, endpoint: Endpoint) -> Attempt:
        self._ids += 1
        attempt = Attempt(self._ids, endpoint, chunk.tasks, chunk.attempts + 1, chunk.tried | {endpoint.url})
        self._running[attempt.id] = attempt
        return attempt

    def _finish_attempt(self, attempt: Attempt) -> bool:
        if self._running.pop(attempt.id, None) is None:
            return False
        self._slots.release(attempt.endpoint)
        return True

    def _requeue(self, attempt: Attempt, tasks: tuple[int, ...]) -> list[int]:
        self._suspects.add(attempt.endpoint.url)
        if attempt.number >= self._attempts:
            return list(tasks)
        self._queue.append(_Chunk(tasks, attempt.number, attempt.tried))
        return []


SendChunk = Callable[[Endpoint, list[T]], Awaitable[Sequence[R | NotExecuted]]]
"""Sends tasks to a node and returns one answer for each, in their order. It must end when it is cancelled."""


async def scatter(
    tasks: Sequence[T],
    endpoints: Callable[[], Sequence[Endpoint]],
    send: SendChunk[T, R],
    *,
    kind: str,
    metrics: Metrics,
    timeout: float,
    deadline: float,
    chunk: int = 25,
    attempts: int = 4,
    concurrency: int = 16,
    slots: Slots | None = None,
    settled: Callable[[list[tuple[int, TaskResult[R]]]], None] | None = None,
) -> list[TaskResult[R]]:
    """Execute ``tasks`` on the nodes that ``endpoints`` returns; return one result for each task, in order.

    ``endpoints`` is called before each request, so that new nodes are used. ``slots`` are those of the nodes, to share
    with other scatters; by default two for each node.
    ``timeout`` bounds each request and ``deadline`` the whole, in seconds. ``send`` reports a failed request by a
    :class:`NotifyxError` (or :class:`TimeoutError`); any other exception is a defect and propagates. ``settled``
    is called with new results (position, result). ``kind`` is the label of the metric.
    """
    slots = slots or Slots()
    plan = ScatterPlan(len(tasks), chunk=chunk, attempts=attempts, concurrency=concurrency, slots=slots)
    work = _Scatter(tasks, send, endpoints, plan, slots, metrics.counter("notifyx_tasks_total"), kind, timeout, settled)
    try:
        async with asyncio.timeout(deadline):
            await work.run()
    except TimeoutError:
        work.settle(plan.abandon(), None)
    except BaseExceptionGroup as defects:
        raise defects.exceptions[0] from None
    finally:
        plan.abandon()
    return [work.outcomes[position] for position in range(len(tasks))]


class _Scatter(Generic[T, R]):
    """The I/O around a plan."""

    def __init__(
        self,
        tasks: Sequence[T],
        send: SendChunk[T, R],
        endpoints: Callable[[], Sequence[Endpoint]],
        plan: ScatterPlan,
        slots: Slots,
        counter: PrometheusCounter,
        kind: str,
        timeout: float,
        settled: Callable[[list[tuple[int, TaskResult[R]]]], None] | None,
    ) -> None:
        self.outcomes: dict[int, TaskResult[R]] = {}
        self._tasks = tasks
        self._send = send
        self._endpoints = endpoints
        self._plan = plan
        self._slots = slots
        self._counter = counter
        self._kind = kind
        self._timeout = timeout
        self._on_settled = settled
        self._last: dict[int, tuple[Attempt, str]] = {}

    async def run(self) -> None:
        """Run until every task has settled. A cancellation ends all running attempts."""
        async with asyncio.TaskGroup() as group:
            while not self._plan.done:
                while (attempt := self._plan.next_attempt(self._endpoints())) is not None:
                    name = f"{self._kind} attempt {attempt.id}"
                    group.create_task(self._attempt(attempt), name=name)
                # Bounded, so that new and recovered nodes are used. A release is one of this scatter, too.
                await asyncio.wait([self._slots.released()], timeout=between(0.05, 0.1))

    def settle(self, positions: list[int], values: dict[int, R] | None) -> None:
        """Record results: with ``values``, or as failed where it is ``None``."""
        fresh: list[tuple[int, TaskResult[R]]] = []
        for position in positions:
            attempt, reason = self._last.get(position, (None, "no node could be asked in time"))
            node, number = (attempt.endpoint.instance, attempt.number) if attempt is not None else ("", 0)
            if values is None:
                outcome: TaskResult[R] = TaskResult(None, "", number, reason)
            else:
                outcome = TaskResult(values[position], node, number)
            self.outcomes[position] = outcome
            fresh.append((position, outcome))
        self._count("failed" if values is None else "done", len(fresh))
        if fresh and self._on_settled is not None:
            self._on_settled(fresh)

    async def _attempt(self, attempt: Attempt) -> None:
        await self._pause(attempt)
        for position in attempt.tasks:
            self._last[position] = (attempt, "the node did not answer in time")
        try:
            async with asyncio.timeout(self._timeout):
                answers = await self._send(attempt.endpoint, [self._tasks[position] for position in attempt.tasks])
            if len(answers) != len(attempt.tasks):
                raise Internal("The node did not answer for each task.")
        except (TimeoutError, DeadlineExceeded):
            self._count("timed_out", len(attempt.tasks))
            self._failed(attempt, "the node did not answer in time")
            return
        except NotifyxError as error:
            self._failed(attempt, error.reason)
            return
        values: dict[int, R] = {}
        for position, answer in zip(attempt.tasks, answers, strict=True):
            if isinstance(answer, NotExecuted):
                self._last[position] = (attempt, answer.reason)
            else:
                values[position] = answer
        settled, failed = self._plan.record_answer(attempt, values.keys())
        self._count("reassigned", len(attempt.tasks) - len(settled) - len(failed))
        self.settle(settled, values)
        self.settle(failed, None)

    def _failed(self, attempt: Attempt, reason: str) -> None:
        for position in attempt.tasks:
            self._last[position] = (attempt, reason)
        failed = self._plan.record_failure(attempt)
        self._count("reassigned", len(attempt.tasks) - len(failed))
        self.settle(failed, None)

    async def _pause(self, attempt: Attempt) -> None:
        """Wait before a node is tried again. An attempt on a node that has not tried the chunk starts at once."""
        rounds = attempt.number - 1 - len({endpoint.url for endpoint in self._endpoints()})
        if attempt.number > 1 and rounds >= 0:
            await asyncio.sleep(_ROUNDS.after(rounds + 1))

    def _count(self, outcome: str, number: int) -> None:
        if number > 0:
            self._counter.labels(self._kind, outcome).inc(number)
