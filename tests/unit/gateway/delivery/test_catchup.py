"""Whose page of the log is read next, while more are wanted than are read at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from notifyx_common.background import Background
from notifyx_common.contracts.store.log import HistoryPage
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal, system_principal
from notifyx_gateway.delivery.catchup import MAX_CONCURRENT_READS, CatchUp, LogReader
from notifyx_gateway.delivery.sinks import Sink
from notifyx_gateway.delivery.topic_state import Progress, TopicState
from notifyx_gateway.upstream.store import Store


class SlowStore(Store):
    """Answers a page for each step it is given."""

    def __init__(self) -> None:
        self.read: list[tuple[str, int]] = []
        """The pages that were asked for."""
        self.steps = asyncio.Semaphore(0)

    async def history(self, principal: Principal, topic: str, *, after: int | None = None, **_: Any) -> HistoryPage:
        assert after is not None
        self.read.append((topic, after))
        await self.steps.acquire()
        item = {"seq": after + 1}
        return HistoryPage(items=[item], first_seq=1, last_seq=after + 1, next=None)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_others_catch_up_between_the_connections_of_an_account_with_many() -> None:
    store = SlowStore()
    reader = LogReader(store, Background(Metrics()))

    def page(user: str, topic: str, after: int) -> asyncio.Task[Any]:
        return asyncio.create_task(reader.page(topic, after, 100, user))

    flood = [page("flooder", "flood", after) for after in range(40)]
    await settle()
    assert len(store.read) == MAX_CONCURRENT_READS
    quiet = [page("ann", "news", 0), page("bob", "news", 0), page("cat", "flood", 39), page("cat", "news", 0)]
    gone = page("dan", "news", 7)
    await settle()
    gone.cancel()
    store.steps.release()
    await settle()
    assert store.read[MAX_CONCURRENT_READS:] == [("flood", MAX_CONCURRENT_READS)], "it waited before the others came"
    for _ in range(3):
        store.steps.release()
        await settle()
    asked = store.read[MAX_CONCURRENT_READS + 1 :]
    assert asked == [("news", 0), ("flood", 39), ("news", 7)], "each page once, in the turn of whoever comes first"
    for _ in flood + quiet:
        store.steps.release()
    rows = await asyncio.gather(*flood, *quiet)
    assert [found[0][0] for found, _ in rows] == [*range(1, 41), 1, 1, 40, 1]
    assert len(store.read) == len(set(store.read)) == 42, "equal requests share a read"
    store.steps.release()
    assert await reader.page("news", 0, 100, "ann"), "all turns are there again"
    for _ in range(MAX_CONCURRENT_READS):
        store.steps.release()
    await asyncio.gather(*(page("ann", "news", after) for after in range(MAX_CONCURRENT_READS)))


@dataclass(frozen=True)
class Reading:
    """As much of a sink as its catch-up reads."""

    principal: Principal


async def test_a_page_is_kept_for_who_comes_next_unless_rows_were_forgotten_while_it_was_read() -> None:
    store = SlowStore()
    reader = LogReader(store, Background(Metrics()))
    state = TopicState("news", "id", 8)
    sink = cast(Sink, Reading(system_principal("ann")))

    async def read(*, forgetting: bool) -> None:
        work = asyncio.create_task(CatchUp(state, sink, Progress(7), reader).next_rows())
        await settle()
        if forgetting:
            state.evict_rows()
            # Who comes now does not share the page that is being read.
            work = asyncio.gather(work, CatchUp(state, sink, Progress(7), reader).next_rows())  # type: ignore[assignment]
            await settle()
            store.steps.release()
        store.steps.release()
        await work

    asked = len(store.read)
    await read(forgetting=True)
    assert len(store.read) == asked + 2
    assert state.ring.after(7) is not None, "the second page was read after it"
    state.evict_rows()
    assert state.ring.after(7) is None
    await read(forgetting=False)
    assert [seq for seq, _ in state.ring.after(7) or ()] == [8]
