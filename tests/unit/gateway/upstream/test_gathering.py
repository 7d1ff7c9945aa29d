"""Small requests of many accounts go one after the other, and share what comes meanwhile; nobody else waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.batching import Lane, QueuedItem
from notifyx_gateway.upstream.gathering import FEW_ITEMS, FEW_ITEMS_EACH, Gathering
from support.patience import PATIENCE


class Server:
    """Answers when it is told to; ``requests`` are the accounts of each that it has not answered."""

    def __init__(self) -> None:
        self.requests: list[tuple[list[str], asyncio.Event]] = []
        self.arrived = asyncio.Event()

    async def send(self, queued: Sequence[QueuedItem[int]], left: float) -> Sequence[int]:
        gate = asyncio.Event()
        self.requests.append(([item.principal.id for item in queued if item.principal is not None], gate))
        self.arrived.set()
        await gate.wait()
        return [0] * len(queued)

    async def next(self) -> tuple[list[str], asyncio.Event]:
        """Return the oldest request, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while not self.requests:
                self.arrived.clear()
                await self.arrived.wait()
        return self.requests.pop(0)

    async def nothing_more(self) -> bool:
        """Return whether no request comes in the next rounds of the event loop."""
        for _ in range(5):
            await asyncio.sleep(0)
        return not self.requests


def lanes(server: Server, patience: float = PATIENCE) -> tuple[Lane[int], Lane[int]]:
    gathering, background = Gathering(patience), Background(Metrics())
    first, second = (
        Lane(name, server.send, clock=SystemClock(), background=background, deadline=PATIENCE, gathering=gathering)
        for name in ("first", "second")
    )
    return first, second


def put(lane: Lane[int], *names: str) -> list[asyncio.Future[int]]:
    return [lane.submit(b"{}", Principal(id=name)) for name in names]


async def test_what_comes_while_a_small_request_is_in_flight_shares_the_next_one() -> None:
    server = Server()
    first, second = lanes(server)
    waiting = put(first, "ann")
    accounts, answer = await server.next()
    assert accounts == ["ann"]
    waiting += put(first, "bob", "cat") + put(second, "dan")
    assert await server.nothing_more()
    waiting += put(first, "eve")
    answer.set()
    accounts, answer = await server.next()
    assert accounts == ["bob", "cat", "eve"]
    assert await server.nothing_more(), "the lanes take turns"
    answer.set()
    accounts, answer = await server.next()
    assert accounts == ["dan"]
    answer.set()
    assert await asyncio.gather(*waiting) == [0] * 5


async def test_an_account_that_sends_much_holds_nobody_up_and_many_items_wait_for_nothing() -> None:
    server = Server()
    first, second = lanes(server)
    waiting = put(first, *["ann"] * FEW_ITEMS_EACH)
    _, much = await server.next()
    waiting += put(first, "bob")
    _, little = await server.next()
    waiting += put(second, "cat")
    assert await server.nothing_more()
    waiting += put(second, *["cat"] * (FEW_ITEMS - 1))
    accounts, many = await server.next()
    assert len(accounts) == FEW_ITEMS
    for answer in (much, little, many):
        answer.set()
    await asyncio.gather(*waiting)


async def test_nobody_waits_for_a_request_that_takes_long() -> None:
    server = Server()
    first, second = lanes(server, patience=0.01)
    waiting = put(first, "ann")
    _, slow = await server.next()
    waiting += put(second, "bob")
    accounts, answer = await server.next()
    assert accounts == ["bob"]
    answer.set()
    slow.set()
    await asyncio.gather(*waiting)


async def test_a_lane_that_is_closed_sends_what_waits() -> None:
    server = Server()
    first, second = lanes(server)
    waiting = put(first, "ann")
    _, answer = await server.next()
    waiting += put(second, "bob")
    closing = asyncio.gather(first.close(), second.close())
    _, other = await server.next()
    other.set()
    answer.set()
    await closing
    assert await asyncio.gather(*waiting) == [0, 0]
