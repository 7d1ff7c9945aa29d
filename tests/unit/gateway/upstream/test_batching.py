"""Lanes: one request of an account at a time, in order, each caller its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
import pytest
from pydantic import BaseModel

from notifyx_common.background import Background
from notifyx_common.calls.client import ServiceClient
from notifyx_common.contracts.call import Call
from notifyx_common.contracts.store.batches import ItemError
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.contracts.store.log import PUBLISH, KeyedNotification
from notifyx_common.errors import Forbidden, NotifyxError, TooManyRequests, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_gateway.upstream import batching
from notifyx_gateway.upstream.batching import (
    BUSY_ITEMS,
    GATHER_STEP,
    MIN_BESIDE_ITEMS,
    Lane,
    LaneLimits,
    QueuedItem,
    encode_batch,
)
from notifyx_gateway.upstream.store import Store
from simulation.loop import SimulatedLoop
from support.patience import PATIENCE

Q = TypeVar("Q")
A = TypeVar("A")

ANN, BOB, CAT, DAN = (Principal(id=name) for name in ("ann", "bob", "cat", "dan"))
JOINED = JoinResult(
    topic="news", topic_id="1", last_seq=0, first_seq=1, acked_up_to=0, unread=0, truncated=False, missing=0,
    subscribed=False,
)  # fmt: skip
RESULT = {"id": "1-1", "topic": "news", "seq": 1, "published_at": "2026-01-01T00:00:00Z"}


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)


class LoopClock(HandClock):
    """Shows the time of an event loop."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.time()


class Echo(BaseModel):
    """A result: the item's number."""

    n: int


class Server:
    """Answers each item with its number, once ``gate`` is open; those without one of ``ANN`` at once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: NotifyxError | None = None
        self.in_flight: set[str] = set()

    async def send(self, queued: Sequence[QueuedItem[Echo]], left: float) -> Sequence[Echo | ItemError]:
        assert left > 0
        owners = {item.principal.id for item in queued if item.principal is not None}
        assert not owners & self.in_flight, "one request of an account at a time"
        self.in_flight |= owners
        numbers = [orjson.loads(item.data)["n"] for item in queued]
        self.batches.append(numbers)
        try:
            if ANN.id in owners:
                await self.gate.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.in_flight -= owners
        return [ItemError.of(Forbidden("No.")) if number == 13 else Echo(n=number) for number in numbers]


def lane(server: Server, clock: HandClock, **bounds: Any) -> Lane[Echo]:
    limits = LaneLimits(**{"account_share": 1.0, **bounds})
    return Lane("test", server.send, clock=clock, background=Background(Metrics()), limits=limits)


def put(lane: Lane[Echo], number: int) -> asyncio.Future[Echo]:
    return lane.submit(orjson.dumps({"n": number}), ANN)


async def test_a_tick_shares_a_request_and_later_ones_wait_for_it() -> None:
    server = Server()
    server.gate.clear()
    queue = lane(server, HandClock())
    first = [put(queue, n) for n in range(3)]
    while not server.batches:
        await asyncio.sleep(0)
    second = [put(queue, n) for n in range(3, 6)]
    await asyncio.sleep(0)
    assert queue.usage().used == 3
    assert server.batches == [[0, 1, 2]]
    server.gate.set()
    assert await asyncio.gather(*first, *second) == [Echo(n=n) for n in range(6)]
    assert server.batches == [[0, 1, 2], [3, 4, 5]]
    assert queue.usage().used == 0


async def test_an_account_whose_requests_hang_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LATE_AFTER", 0.0)
    server = Server()
    server.gate.clear()
    queue = lane(server, HandClock(), requests=1)
    hanging = [put(queue, 1)]
    while not server.batches:
        await asyncio.sleep(0)
    hanging.append(put(queue, 2))
    other = queue.submit(orjson.dumps({"n": 3}), BOB)
    async with asyncio.timeout(PATIENCE):
        assert await other == Echo(n=3)
    assert server.batches == [[1], [3]], "what the account sends next waits for its turn"
    server.gate.set()
    assert await asyncio.gather(*hanging) == [Echo(n=1), Echo(n=2)]
    again = [queue.submit(orjson.dumps({"n": n}), who) for n, who in ((4, BOB), (5, ANN))]
    assert await asyncio.gather(*again) == [Echo(n=4), Echo(n=5)], "all turns are given back"
    assert len(server.batches) == 4


async def test_batches_are_bounded_in_items_and_bytes() -> None:
    server = Server()
    queue = lane(server, HandClock(), max_items=4, max_bytes=24)
    await asyncio.gather(*(put(queue, n) for n in range(10)))
    assert server.batches == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


async def test_each_caller_gets_its_own_refusal() -> None:
    queue = lane(Server(), HandClock())
    answers = await asyncio.gather(*(put(queue, n) for n in (12, 13, 14)), return_exceptions=True)
    assert answers[0] == Echo(n=12)
    assert answers[2] == Echo(n=14)
    assert isinstance(answers[1], NotifyxError)
    assert answers[1].code == "forbidden"


async def test_a_failed_batch_fails_its_callers_and_the_lane_goes_on() -> None:
    server = Server()
    server.error = Unavailable("The store cannot be reached.")
    queue = lane(server, HandClock())
    answers = await asyncio.gather(put(queue, 1), put(queue, 2), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert answers[0] is not answers[1]
    server.error = None
    assert await put(queue, 3) == Echo(n=3)


async def test_a_full_queue_refuses() -> None:
    server = Server()
    server.gate.clear()
    queue = lane(server, HandClock(), max_queued=2)
    waiting = [put(queue, 1), put(queue, 2)]
    with pytest.raises(TooManyRequests):
        put(queue, 3)
    server.gate.set()
    await asyncio.gather(*waiting)
    small = lane(server, HandClock(), max_queued_bytes=10)
    put(small, 1).cancel()
    with pytest.raises(TooManyRequests):
        put(small, 2)


async def test_what_waited_too_long_is_refused_unsent() -> None:
    server, clock = Server(), HandClock()
    server.gate.clear()
    queue = lane(server, clock)
    first = put(queue, 1)
    while not server.batches:
        await asyncio.sleep(0)
    late = put(queue, 2)
    clock.time = 7.5
    fresh = put(queue, 3)
    server.gate.set()
    assert await first == Echo(n=1)
    with pytest.raises(Unavailable):
        await late
    assert await fresh == Echo(n=3)
    assert server.batches == [[1], [3]]


async def test_who_sends_little_waits_for_no_request_of_an_account_that_floods() -> None:
    server = Server()
    server.gate.clear()
    queue = lane(server, HandClock())
    flood = [put(queue, n) for n in range(100, 400)]
    while not server.batches:
        await asyncio.sleep(0)
    assert len(server.batches[0]) == 300, "alone, an account has whole requests"
    flood += [put(queue, n) for n in range(400, 700)]
    for number in (1, 2):
        quiet = queue.submit(b'{"n":%d}' % number, BOB)
        for _ in range(10):
            await asyncio.sleep(0)
        assert quiet.done(), "while the flood's is in flight"
        assert server.batches[1:] == [[n] for n in range(1, number + 1)], "in a request without the flood"
    server.gate.set()
    answers = await asyncio.gather(*flood)
    assert [answer.n for answer in answers] == list(range(100, 700)), "each in its order"
    assert max(map(len, server.batches[3:])) <= MIN_BESIDE_ITEMS, "others are at work: short ones"


async def test_a_busy_account_gathers_what_its_answers_let_in_and_a_quiet_one_waits_for_nothing() -> None:
    server = Server()
    queue = lane(server, HandClock())
    answered = [put(queue, 100 + n) for n in range(BUSY_ITEMS)]
    await answered[0]
    more = [put(queue, 200)]
    await asyncio.sleep(0)
    more.append(put(queue, 201))
    await asyncio.gather(*more)
    assert [len(batch) for batch in server.batches] == [BUSY_ITEMS, 2]
    for number in (300, 301):
        await put(queue, number)
        following = put(queue, number + 100)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert server.batches[-1] == [number + 100]
        await following


def test_a_busy_lane_gathers_as_long_as_more_comes_each_millisecond() -> None:
    loop = SimulatedLoop()
    server = Server()

    async def arrive(first: int, count: int, pause: float) -> None:
        """Put items, one after each pause; the first ones come at once, and in a request of their own."""
        waiting = [put(queue, first), put(queue, first + 1)]
        await waiting[0]
        for number in range(first + 2, first + count):
            await asyncio.sleep(pause)
            waiting.append(put(queue, number))
        await asyncio.gather(*waiting)

    async def live() -> None:
        await arrive(100, 12, GATHER_STEP / 2)
        assert [len(batch) for batch in server.batches] == [2, 10]
        await asyncio.sleep(1.0)
        await arrive(200, 4, 2 * GATHER_STEP)
        assert server.batches[2:] == [[200, 201], [202], [203]], "the clients pause"
        await asyncio.sleep(1.0)
        await put(queue, 300)
        following = [put(queue, 301)]
        await asyncio.sleep(GATHER_STEP / 2)
        following.append(put(queue, 302))
        await asyncio.gather(*following)
        assert server.batches[5:] == [[300], [301], [302]], "after a single item nothing waits"
        await asyncio.sleep(1.0)
        await arrive(400, 42, GATHER_STEP / 2)
        assert 18 <= len(server.batches[9]) <= 22, "not for longer than it may"

    queue = lane(server, LoopClock(loop), busy_items=2, gather_seconds=10 * GATHER_STEP)
    loop.run_until_complete(live())
    loop.run_until_complete(loop.end_tasks())
    loop.close()


class SlowStore(ServiceClient):
    """A store that answers a batch of publishes or joins for each step it is given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        """The publishers of each batch's items."""
        self.steps = asyncio.Semaphore(0)

    async def send(self, call: Call[Q, A], request: Q, **_: object) -> A:
        batch = orjson.loads(call.encode(request).body or b"")
        self.batches.append([batch["principals"][item["p"]]["id"] for item in batch["items"]])
        await self.steps.acquire()
        result = RESULT if call.operation == PUBLISH.operation else JOINED.model_dump()
        return call.decode(orjson.dumps({"results": [result for _ in batch["items"]]}))


async def test_joins_of_many_gather_while_a_request_is_in_flight_until_it_is_late() -> None:
    client, metrics = SlowStore(), Metrics()
    store = Store(client, clock=HandClock(), metrics=metrics, background=Background(metrics))
    joins = []
    for who in (ANN, BOB, CAT, DAN):
        joins.append(store.enqueue_join(who, "news"))
        for _ in range(5):
            await asyncio.sleep(0)
    assert client.batches == [[ANN.id]]
    client.steps.release()
    while len(client.batches) < 2:
        await asyncio.sleep(0)
    late = store.enqueue_join(ANN, "news")
    while len(client.batches) < 3:
        await asyncio.sleep(0)
    assert client.batches[1:] == [[BOB.id, CAT.id, DAN.id], [ANN.id]], "beside a request that hangs"
    for _ in range(2):
        client.steps.release()
    await asyncio.gather(*joins, late)


async def test_beside_floods_of_large_messages_requests_are_short_in_bytes() -> None:
    client, metrics = SlowStore(), Metrics()
    store = Store(client, clock=HandClock(), metrics=metrics, background=Background(metrics))
    large, small = KeyedNotification(body="x" * 60_000), KeyedNotification(body="x")
    waiting = [store.enqueue_publish(who, "news", large) for _ in range(40) for who in (ANN, CAT)]
    while not client.batches:
        await asyncio.sleep(0)
    waiting += [store.enqueue_publish(DAN, "news", large) for _ in range(40)]
    while len(client.batches) < 2:
        await asyncio.sleep(0)
    quiet = store.enqueue_publish(BOB, "news", small)
    while not quiet.done():
        client.steps.release()
        for _ in range(10):
            await asyncio.sleep(0)
    assert BOB.id in client.batches[2], "in the next request"
    assert sum(map(len, client.batches[:3])) <= 12, "of 60 kB each: those in flight, and its own request"
    for _ in range(len(waiting)):
        client.steps.release()
    await asyncio.gather(*waiting)


async def test_a_request_waits_for_room_in_its_accounts_queue_and_then_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "ROOM_TIMEOUT", 0.05)
    server = Server()
    server.gate.clear()
    queue = lane(server, HandClock(), max_queued=8, account_share=0.5)
    waiting = [put(queue, 0)]
    while not server.batches:
        await asyncio.sleep(0)
    waiting += [put(queue, n) for n in range(1, 5)]
    with pytest.raises(TooManyRequests) as refusal:
        await queue.room("ann")
    assert refusal.value.retry_after == 1.0
    await queue.room("bob")
    monkeypatch.setattr(batching, "ROOM_TIMEOUT", 10.0)
    room = asyncio.ensure_future(queue.room("ann"))
    server.gate.set()
    await asyncio.gather(*waiting, room)


async def test_closing_finishes_what_is_queued_and_refuses_more() -> None:
    server = Server()
    queue = lane(server, HandClock())
    waiting = put(queue, 1)
    await queue.close()
    assert waiting.result() == Echo(n=1)
    with pytest.raises(Unavailable):
        put(queue, 2)


async def test_the_body_lists_each_principal_once() -> None:
    loop = asyncio.get_running_loop()
    queued = [
        QueuedItem(b'{"n":%d}' % number, principal, loop.create_future())
        for number, principal in enumerate((ANN, BOB, ANN))
    ]
    body = orjson.loads(encode_batch(queued, b'"batch_id":"x",'))
    assert [principal["id"] for principal in body["principals"]] == ["ann", "bob"]
    assert body["items"] == [{"p": 0, "n": 0}, {"p": 1, "n": 1}, {"p": 0, "n": 2}]
    assert body["batch_id"] == "x"
