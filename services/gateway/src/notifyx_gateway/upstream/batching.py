"""Batches calls to the store: items of one tick, or queued while a request is in flight, share the next request.

A :class:`Lane` has **one** request of an account in flight at a time, so an account's items take effect in the order in
which they were queued. While one account's request is in flight, the items of others go in a second one, and do not
wait for it. The queue is bounded and serves accounts in turn (``fair_queue``). An item that waited too long is rejected
before it is sent, when it certainly has had no effect. Each caller receives its own result or error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from notifyx_common.background import Background
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.errors import Internal, NotifyxError, TooManyRequests, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import PoolUsage
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.fair_queue import RETRY_AFTER, Crowd, FairQueue
from notifyx_gateway.upstream.gathering import FEW_ITEMS, Gathering, is_small

log = get_logger(__name__)

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)

LATE_AFTER = 0.25
"""Seconds after which a request is late: its node may hang, and the turns of other accounts do not wait for it."""

MAX_LATE = 4
"""Late requests of a lane that others go beside, at most."""

MIN_REMAINING = 1.0
"""Minimum time left, in seconds; an item with less is rejected rather than sent."""


class Waiter(Protocol[R_contra]):
    """Who waits for the result of an item: a future, or less where there are thousands. It is called once."""

    def done(self) -> bool:
        """Return whether it has been answered, or does not wait any more."""
        ...

    def set_result(self, result: R_contra, /) -> None: ...

    def set_exception(self, exception: NotifyxError, /) -> None: ...


class QueuedItem(Generic[R]):
    """One item of a lane: its JSON object, its principal, and who waits for it.

    It counts as ``weight`` items. The lane sets ``until``, the monotonic time at which it is too late.
    """

    __slots__ = ("data", "principal", "until", "waiter", "weight")

    def __init__(self, data: bytes, principal: Principal | None, waiter: Waiter[R], weight: int = 1) -> None:
        self.data = data
        self.weight = weight
        self.principal = principal
        self.waiter = waiter
        self.until = 0.0


SendBatch = Callable[[Sequence[QueuedItem[R]], float], Awaitable[Sequence[R | ItemError]]]
"""Sends a batch within a timeout in seconds; returns one result per item, in order. Raises :class:`NotifyxError`."""


BUSY_ITEMS = 32
READ_ROUNDS = 2
"""After a request of that many items, that many rounds of the event loop pass before its owners' next request: the
smaller a request is, the more each of its items costs. At rest nothing waits."""

GATHER_STEP = 0.001
"""Seconds in which more has to come, for a lane to gather longer."""


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """Limits of a lane: of one request, and of its queue, of which one account may fill the part ``account_share``.

    ``requests`` is how many are in flight, of different accounts. ``shared_seconds`` is how long a request of several
    should take; it has half of the bytes. ``beside_seconds`` is that of an account that is at work beside others which
    have nothing queued; it has a quarter of the bytes.

    After a request of ``busy_items``, the next one of its owners gathers what is read in two rounds of the event loop,
    and then as long as each millisecond brings more, up to ``gather_seconds``.
    """

    max_items: int = 1000
    max_bytes: int = 512 << 10
    max_queued: int = 20_000
    max_queued_bytes: int = 32 << 20
    account_share: float = 0.25
    shared_seconds: float = 0.01
    beside_seconds: float = 0.004
    requests: int = 2
    busy_items: int = BUSY_ITEMS
    gather_seconds: float = 0.0


DEFAULT_LIMITS = LaneLimits()

MIN_SHARED_ITEMS = 256
"""Items of a request while several accounts are at work, at least: fewer would mostly be overhead.

With a quarter of these, a request costs gateway, store and PostgreSQL twice as much for each publish, so that others
wait longer, not shorter.
"""

MIN_BESIDE_ITEMS = 64
"""The same for a request of one account alone, while others send so little that they wait for nothing but its work.

Each publish of such an account costs more then, and the others' wait in the event loops of gateway and store is half.
"""

ROOM_TIMEOUT = 2.0
"""Maximum time, in seconds, that a request waits for room in its account's queue."""


class Lane(Generic[R]):
    """A bounded queue with few batched requests in flight, of which each account has one."""

    def __init__(
        self,
        name: str,
        send: SendBatch[R],
        *,
        clock: Clock,
        background: Background,
        deadline: float = 8.0,
        limits: LaneLimits = DEFAULT_LIMITS,
        crowd: Crowd | None = None,
        gathering: Gathering | None = None,
        on_rejected: Callable[[], None] = lambda: None,
    ) -> None:
        """``crowd`` and ``gathering`` are shared with other lanes to the same store; without the second, no request
        waits for another. ``on_rejected`` is called for each item without room.
        """
        self._name = name
        self._send = send
        self._clock = clock
        self._deadline = deadline
        self._limits = limits
        self._crowd = crowd or Crowd()
        self._gathering = gathering
        self._on_rejected = on_rejected
        self._queue: FairQueue[QueuedItem[R]] = FairQueue(
            max_items=limits.max_queued, max_bytes=limits.max_queued_bytes, owner_share=limits.account_share
        )
        self._rate = 0.0
        """Items that the store answers a second, as the last request of some size showed."""
        self._taken = asyncio.Event()
        self._tasks = background.tasks()
        self._senders = 0
        """Those with a request in flight that is not late."""
        self._late = 0
        self._starting = False
        """Whether a sender is about to take from the queue."""
        self._closed = False

    def submit(self, data: bytes, principal: Principal | None, owner: str = "", weight: int = 1) -> asyncio.Future[R]:
        """Queue an item (a JSON object), as :meth:`add`; the future receives its result or its :class:`NotifyxError`.

        ``owner`` is by default the principal; ``weight`` is how many ordinary items it costs.
        """
        if principal is not None and not owner:
            owner = principal.id
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.add(QueuedItem(data, principal, future, weight), owner)
        return future

    def add(self, item: QueuedItem[R], owner: str) -> None:
        """Queue ``item``, which uses the turn of ``owner``.

        Raises :class:`TooManyRequests` if the queue is full, :class:`Unavailable` after :meth:`close`.
        """
        if self._closed:
            raise Unavailable("This node is stopping.")
        now = self._clock.monotonic()
        item.until = now + self._deadline
        try:
            evicted = self._queue.push(owner, item)
        except TooManyRequests:
            self._on_rejected()
            raise
        if evicted is not None:
            self._on_rejected()
            _fail(
                [evicted], TooManyRequests("The gateway is busy with others; try again soon.", retry_after=RETRY_AFTER)
            )
        self._crowd.note(owner, now)
        self._start()

    def _start(self) -> None:
        if self._starting or self._senders >= self._limits.requests or not self._queue.owners:
            return
        if not self._waits():
            self._spawn()

    def _waits(self) -> bool:
        """Return whether the next request leaves later, with what comes until then."""
        if self._gathering is None:
            return False
        return self._gathering.wait(FEW_ITEMS if self._closed else len(self._queue), self._spawn)

    def _spawn(self) -> None:
        # The task starts after the callbacks of this tick, so that their items share its first request.
        self._starting = True
        self._senders += 1
        self._tasks.spawn("lane", self._run())

    async def room(self, owner: str) -> None:
        """Wait until ``owner`` has room in its queue. Raises :class:`TooManyRequests` after :data:`ROOM_TIMEOUT`."""
        if self._queue.has_room(owner):
            return
        try:
            async with asyncio.timeout(ROOM_TIMEOUT):
                while not self._queue.has_room(owner):
                    self._taken.clear()
                    await self._taken.wait()
        except TimeoutError:
            self._on_rejected()
            raise TooManyRequests(
                "This account has more requests waiting than the gateway takes; try again soon.",
                retry_after=RETRY_AFTER,
            ) from None

    def usage(self) -> PoolUsage:
        """Return the number of queued items, and its limit."""
        return PoolUsage(len(self._queue), self._queue.max_items)

    async def close(self) -> None:
        """Reject new items, and wait for the queued ones (each has a deadline)."""
        self._closed = True
        if self._gathering is not None:
            self._gathering.hurry(self._spawn)
        await self._tasks.settled()

    async def _run(self) -> None:
        self._starting = False
        try:
            await self._send_small_or_large()
            while self._senders <= self._limits.requests and self._queue.owners and not self._waits():
                await self._send_small_or_large()
        finally:
            self._senders -= 1

    async def _send_small_or_large(self) -> None:
        """Send the next batch; where there is a gathering, it counts as small there already."""
        gathering = self._gathering
        started = self._clock.monotonic()
        batch, owners = self._next_batch(started)
        if gathering is not None and not is_small(len(batch), len(owners)):
            gathering.end()
            gathering = None
        self._taken.set()
        late = False

        def free_turn() -> None:
            nonlocal late, gathering
            if self._late >= MAX_LATE:
                return
            late, self._late, self._senders = True, self._late + 1, self._senders - 1
            if gathering is not None:
                gathering.end()
                gathering = None
            self._start()

        timer = asyncio.get_running_loop().call_later(LATE_AFTER, free_turn)
        try:
            await self._send_batch(batch)
            self._learn(sum(item.weight for item in batch), self._clock.monotonic() - started)
            timer.cancel()
            if len(batch) >= self._limits.busy_items:
                await self._gather()
        finally:
            timer.cancel()
            if late:
                self._late, self._senders = self._late - 1, self._senders + 1
            self._queue.release(owners)
            if gathering is not None:
                gathering.end()

    async def _gather(self) -> None:
        """Wait for what the last answers let in and what was read meanwhile, as long as more comes in each step."""
        until = self._clock.monotonic() + self._limits.gather_seconds
        for _ in range(READ_ROUNDS):
            await asyncio.sleep(0)
        queued = -1
        while queued < len(self._queue) < MIN_SHARED_ITEMS and self._clock.monotonic() < until:
            queued = len(self._queue)
            await asyncio.sleep(GATHER_STEP)

    def _next_batch(self, now: float) -> tuple[list[QueuedItem[R]], list[str]]:
        limits, owners = self._limits, self._queue.owners
        items, octets = limits.max_items, limits.max_bytes
        if owners > 1:
            # One of each account at least: where thousands want one thing each, one request is the shortest wait.
            items, octets = min(items, max(owners, self._fitting(limits.shared_seconds, MIN_SHARED_ITEMS))), octets // 2
        elif self._crowd.shared(now):
            items, octets = min(items, self._fitting(limits.beside_seconds, MIN_BESIDE_ITEMS)), octets // 4
        share = max(1, items // owners) if owners > 1 else items

        def wanted(item: QueuedItem[R]) -> bool:
            if item.waiter.done():  # its caller has gone
                return False
            if item.until - now < MIN_REMAINING:
                _fail([item], Unavailable("The store did not take this request in time."))
                return False
            return True

        return self._queue.take(items, octets, share, wanted)

    def _learn(self, count: int, seconds: float) -> None:
        if count >= MIN_BESIDE_ITEMS // 2 and seconds > 0:
            self._rate = count / seconds

    def _fitting(self, seconds: float, least: int) -> int:
        """Return how many items the store answers in ``seconds``, or ``least`` if that is more."""
        return max(least, int(self._rate * seconds))

    async def _send_batch(self, batch: list[QueuedItem[R]]) -> None:
        if not batch:
            return
        remaining = min(item.until for item in batch) - self._clock.monotonic()
        try:
            results = await self._send(batch, max(remaining, MIN_REMAINING))
            if len(results) != len(batch):
                raise Internal("The store answered a batch with another number of results.")
        except NotifyxError as error:
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, Unavailable("This node is stopping."))
            raise
        except Exception as error:
            log.error("batch_failed", lane=self._name, exc_info=error)
            _fail(batch, Internal("Something went wrong on our side; it has been logged."))
        else:
            for item, result in zip(batch, results, strict=True):
                _resolve(item, result)


def _resolve(item: QueuedItem[R], result: R | ItemError | NotifyxError) -> None:
    if item.waiter.done():
        return
    try:
        if isinstance(result, ItemError):
            item.waiter.set_exception(result.error())
        elif isinstance(result, NotifyxError):
            item.waiter.set_exception(result)
        else:
            item.waiter.set_result(result)
    except Exception as error:
        # A waiter of the socket replies at once; a fault there is that connection's alone.
        log.error("waiter_failed", exc_info=error)


def _fail(batch: Sequence[QueuedItem[R]], error: NotifyxError) -> None:
    for item in batch:
        _resolve(item, error.with_reason(error.reason))


def encode_batch(queued: Sequence[QueuedItem[R]], head: bytes = b"") -> bytes:
    """Return the request body: each principal once, and each item with the index of its principal as ``p``.

    ``head`` goes first: JSON members with their trailing comma.
    """
    positions: dict[int, int] = {}
    principals: list[bytes] = []
    items: list[bytes] = []
    for item in queued:
        if item.principal is None:
            items.append(item.data)
            continue
        position = positions.get(id(item.principal))
        if position is None:
            position = positions[id(item.principal)] = len(principals)
            principals.append(item.principal.model_dump_json().encode())
        items.append(b'{"p":%d,' % position + item.data[1:])
    who = b'"principals":[' + b",".join(principals) + b"]," if principals else b""
    return b"{" + head + who + b'"items":[' + b",".join(items) + b"]}"
