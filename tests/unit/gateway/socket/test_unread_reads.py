"""How often the subscriptions of an account are read, of which each read may be large."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.store.subscriptions import Subscription
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.hub import Hub
from notifyx_gateway.socket.unread import LEAST_REST, RESTS, Counts, UnreadPusher
from notifyx_gateway.upstream.store import Store
from support.patience import PATIENCE

TAKES = 0.02


class Listener:
    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    def unread(self, topic: str, counts: Counts) -> None:
        raise AssertionError("nobody subscribes to anything")


class SlowStore:
    def __init__(self) -> None:
        self.begun = 0
        self.reads: list[tuple[str, float, float]] = []
        self._changed = asyncio.Event()

    async def subscriptions(self, principal: Principal) -> list[Subscription]:
        self.begun += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(TAKES)
        self.reads.append((principal.id, began, loop.time()))
        self._changed.set()
        return []

    async def has_read(self, count: int, user: str) -> list[tuple[float, float]]:
        async with asyncio.timeout(PATIENCE):
            while len(found := [read[1:] for read in self.reads if read[0] == user]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found


class NoHub:
    def add_observer(self, observer: object) -> None:
        pass


async def test_an_account_rests_after_its_subscriptions_were_read_with_any_of_its_credentials() -> None:
    """A hundred keys of one account, whose channels opened again and again, had a store read for them all the time."""
    store = SlowStore()
    async with Background(Metrics()) as background:
        pusher = UnreadPusher(
            cast(Hub, NoHub()), cast(Store, store), delay=0.001, clock=SystemClock(), background=background
        )
        keys = [Principal(id="eve", kind="api_key", key_id=f"k{number}") for number in range(4)]
        listeners: list[Any] = [Listener(one) for one in (*keys, Principal(id="ada"))]
        for listener in listeners:
            pusher.open(listener)
        reads = await store.has_read(len(keys), "eve")
        for (began, ended), (next_began, _) in pairwise(reads):
            assert next_began - ended >= (RESTS - 1) * (ended - began)
        (hers,) = await store.has_read(1, "ada")
        assert hers[0] < reads[1][0], "nobody else waits for it"
        await pusher.aclose()


async def test_a_read_that_is_broken_off_is_followed_by_a_rest() -> None:
    """A store may still be at it: of channels that opened and closed at once, each began another."""
    store = SlowStore()
    async with Background(Metrics()) as background:
        pusher = UnreadPusher(
            cast(Hub, NoHub()), cast(Store, store), delay=0.001, clock=SystemClock(), background=background
        )
        listener: Any = Listener(Principal(id="eve"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(20):
            pusher.open(listener)
            await asyncio.sleep(0.002)
            pusher.close(listener)
        assert store.begun <= 1 + (loop.time() - began) / LEAST_REST
        pusher.open(listener)
        await store.has_read(1, "eve")
        await pusher.aclose()
