"""A budget for the memory of large answers, from before one is made until its client has read it.

A handler whose answer may be large reserves its size first. The reservation is cut to the real size once that is
known, and ends when the answer has been written or its connection is lost. While the budget is used up, requests wait
for a bounded time; each key, such as a user, has a share of it, and those that wait are served in turn by key.

What a handler answers to a GET without a reservation is counted once it is there, if it is long, and refused where it
does not fit.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from quart import Quart, Response

from notifyx_common.errors import BUSY, NotifyxError, TooManyRequests, Unavailable
from notifyx_common.metrics import Metrics, PoolUsage
from notifyx_common.serving.current import current_request, current_state
from notifyx_common.serving.direct_request import DirectRequest
from notifyx_common.serving.replies import problem_reply
from notifyx_common.settings import ServiceSettings

MAX_WAITING = 100
"""Requests of one key that may wait for a place; more are refused at once."""

UNRESERVED = 64 << 10
"""Maximum size in bytes of an answer that needs no reservation: about what a connection buffers."""

_Waiting = tuple[int, "asyncio.Future[None]"]
"""A request that waits: its size, and what ends its wait."""

_SCOPE_KEY = "notifyx.answer"


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Limits of a budget, each as the setting ``http_<field>`` describes it."""

    answer_bytes: int = 128 << 20
    answer_bytes_each: int = 16 << 20
    answer_wait: float = 2.0

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """Return the limits that a service is configured with."""
        return cls(
            answer_bytes=settings.http_answer_bytes,
            answer_bytes_each=settings.http_answer_bytes_each,
            answer_wait=settings.http_answer_wait,
        )


class Answer:
    """What one request has reserved; nothing at first."""

    __slots__ = ("_budget", "_ends", "_key", "_size")

    def __init__(self, budget: AnswerBudget) -> None:
        self._budget = budget
        self._key = ""
        self._size = 0
        self._ends: list[Callable[[], None]] = []

    async def reserve(self, key: str, size: int) -> None:
        """Reserve ``size`` bytes, at the cost of ``key``'s share (``""``: of no share); once for a request.

        Raises :class:`TooManyRequests` if the share, :class:`Unavailable` if the whole budget stays used up.
        """
        await self._budget.take(key, size)
        self._key, self._size = key, size

    def settle(self, size: int) -> None:
        """Fit what is reserved to the real ``size``; if nothing is, and that is long, count it.

        Raises as :meth:`reserve`, at once: the answer is there, and must not wait. Only what can be asked for again is
        refused.
        """
        if self._size or size <= UNRESERVED or current_request().method != "GET":
            self.shrink(size)
            return
        state = current_state()
        who = state.caller or state.principal
        if who is None:  # documents and pages are the same for everybody
            return
        self._budget.take_at_once(who.id, size)
        self._key, self._size = who.id, size

    def shrink(self, size: int) -> None:
        """Give back what is reserved beyond ``size``."""
        if size < self._size:
            self._budget.give_back(self._key, self._size - size)
            self._size = size

    def at_end(self, release: Callable[[], None]) -> None:
        """Call ``release`` when the request is over, whether or not its answer was written."""
        self._ends.append(release)

    def release(self) -> None:
        """Give back everything."""
        self.shrink(0)
        while self._ends:
            self._ends.pop()()


class AnswerBudget:
    """The bytes of all large answers of a process."""

    def __init__(self, limits: AnswerLimits, metrics: Metrics) -> None:
        self._limits = limits
        self._used = 0
        self._by_key: Counter[str] = Counter()
        # Keys in the order of their turns, each with the requests that wait.
        self._waiting: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._rejected = metrics.counter("notifyx_http_answers_rejected_total")
        metrics.observe_pool("answer_bytes", self._usage)

    @property
    def used(self) -> int:
        """The bytes that are reserved."""
        return self._used

    async def take(self, key: str, size: int) -> None:
        """Take ``size`` bytes; raises as :meth:`Answer.reserve`."""
        if key not in self._waiting and self._fits(key, size):
            self._add(key, size)
            return
        queue = self._waiting.setdefault(key, deque())
        if len(queue) >= MAX_WAITING:
            raise self._rejection(key, size)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append((size, place))
        try:
            async with asyncio.timeout(self._limits.answer_wait):
                await place
        except TimeoutError:
            if place.cancelled():
                self._dequeue(key, (size, place))
                raise self._rejection(key, size) from None
        except asyncio.CancelledError:
            if place.cancelled():
                self._dequeue(key, (size, place))
            else:
                self.give_back(key, size)
            raise

    def take_at_once(self, key: str, size: int) -> None:
        """Take ``size`` bytes as :meth:`take` does, or refuse them without a wait."""
        if key in self._waiting or not self._fits(key, size):
            raise self._rejection(key, size)
        self._add(key, size)

    def give_back(self, key: str, size: int) -> None:
        """Give back ``size`` bytes of ``key``, and serve those that wait."""
        self._used -= size
        if key:
            self._by_key[key] -= size
            if self._by_key[key] <= 0:
                del self._by_key[key]
        self._serve()

    def _serve(self) -> None:
        granted = True
        while granted:
            granted = False
            for key in tuple(self._waiting):
                size, place = self._waiting[key][0]
                if self._fits(key, size):
                    self._dequeue(key, (size, place))
                    if not place.done():  # it is cancelled otherwise, in this turn of the event loop
                        self._add(key, size)
                        place.set_result(None)
                    granted = True

    def _dequeue(self, key: str, waiting: _Waiting) -> None:
        """Remove a request from its queue, and give other keys their turns first."""
        queue = self._waiting.get(key)
        if queue is None or waiting not in queue:
            return
        queue.remove(waiting)
        if queue:
            self._waiting.move_to_end(key)
        else:
            del self._waiting[key]

    def _fits(self, key: str, size: int) -> bool:
        # An answer that is larger than a whole budget passes while nothing else is reserved.
        return self._fits_node(size) and self._fits_share(key, size)

    def _fits_node(self, size: int) -> bool:
        return not self._used or self._used + size <= self._limits.answer_bytes

    def _fits_share(self, key: str, size: int) -> bool:
        held = self._by_key[key] if key else 0
        return not held or held + size <= self._limits.answer_bytes_each

    def _add(self, key: str, size: int) -> None:
        self._used += size
        if key:
            self._by_key[key] += size

    def _usage(self) -> PoolUsage:
        waiting = sum(len(queue) for queue in self._waiting.values())
        return PoolUsage(self._used, self._limits.answer_bytes, waiting)

    def _rejection(self, key: str, size: int) -> NotifyxError:
        share = not self._fits_share(key, size)
        self._rejected.labels("share" if share else "node").inc()
        wait = self._limits.answer_wait
        if share:
            return TooManyRequests(
                "You have not read the answers to your other requests yet; read them, then try again.",
                retry_after=wait,
            )
        return Unavailable("This node holds as many answers as it may; try again.", code=BUSY, retry_after=wait)


def hold_answers(app: Quart, budget: AnswerBudget) -> None:
    """Let the handlers of ``app`` reserve their answers with :func:`answer`."""
    app.extensions[_SCOPE_KEY] = budget
    inner: Any = app.asgi_app

    async def hold(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        scope[_SCOPE_KEY] = held = Answer(budget)
        try:
            await inner(scope, receive, send)
        finally:
            held.release()

    app.asgi_app = hold  # type: ignore[method-assign]  # Quart's own way to add a middleware

    @app.after_request
    async def know_size(response: Response) -> Response:
        if response.content_length is None:
            return response
        try:
            answer().settle(response.content_length)
        except NotifyxError as error:
            current_state().error = error
            return problem_reply(error).response()
        return response


def budget_of(app: Quart) -> AnswerBudget | None:
    """Return the budget of which the handlers of ``app`` reserve."""
    found: AnswerBudget | None = app.extensions.get(_SCOPE_KEY)
    return found


def answer() -> Answer:
    """Return the answer to the current request."""
    request = current_request()
    if isinstance(request, DirectRequest):
        return request.answer
    found: Answer = request.scope[_SCOPE_KEY]  # type: ignore[literal-required]  # a middleware's addition to the scope
    return found
