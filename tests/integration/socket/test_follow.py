"""Following a topic as an iterator, as the event stream does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from notifyx_common.errors import Forbidden, NotFound
from notifyx_gateway.follow import Follower, TooSlow, follow
from support.memory_store import MemoryStore
from support.socket_gateway import Gateway, running_gateway, user


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        store.topic("news")
        yield store


@pytest.fixture
async def gateway(memory: MemoryStore) -> AsyncIterator[Gateway]:
    async with running_gateway([memory.url]) as running:
        yield running


async def take(follower: Follower, count: int) -> list[int]:
    async with asyncio.timeout(10):
        return [(await anext(follower))[0] for _ in range(count)]


async def test_rows_after_since_then_live(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "old", count=900)
    async with follow(gateway.hub, user("ann"), "news", since=10) as (result, rows):
        assert result.last_seq == 900
        memory.append("news", "new", count=100)
        assert await take(rows, 990) == list(range(11, 1001))


async def test_without_since_only_what_is_new(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "old", count=5)
    async with follow(gateway.hub, user("ann"), "news") as (_, rows):
        memory.append("news", "new", count=3)
        assert await take(rows, 3) == [6, 7, 8]


async def test_history_comes_at_the_pace_of_the_reader(gateway: Gateway, memory: MemoryStore) -> None:
    memory.append("news", "y" * 2000, count=600)
    async with follow(gateway.hub, user("ann"), "news", since=0, max_bytes=300_000) as (_, rows):
        assert await take(rows, 600) == list(range(1, 601))


async def test_a_reader_that_stops_is_told_and_resumes(gateway: Gateway, memory: MemoryStore) -> None:
    async with follow(gateway.hub, user("ann"), "news", max_bytes=10_000) as (_, rows):
        memory.append("news", "z" * 100, count=10)
        assert await take(rows, 10) == list(range(1, 11))
        async with asyncio.timeout(10):
            while not rows.closed:
                memory.append("news", "z" * 100, count=10)
                await asyncio.sleep(0.01)
        with pytest.raises(TooSlow):
            await take(rows, 1)
    last = memory.topics["news"].last_seq
    async with follow(gateway.hub, user("ann"), "news", since=10) as (_, rows):
        assert await take(rows, last - 10) == list(range(11, last + 1))


async def test_ends_with_the_topic(gateway: Gateway, memory: MemoryStore) -> None:
    async with follow(gateway.hub, user("ann"), "news") as (_, rows):
        memory.append("news", "last", count=2)
        assert await take(rows, 1) == [1]
        await memory.delete("news")
        assert await take(rows, 1) == [2]
        with pytest.raises(NotFound):
            await take(rows, 1)


async def test_a_refused_join_is_raised(gateway: Gateway, memory: MemoryStore) -> None:
    memory.topic("secret").forbidden.add("ann")
    with pytest.raises(Forbidden):
        async with follow(gateway.hub, user("ann"), "secret"):
            pytest.fail("it was let in")
    with pytest.raises(NotFound):
        async with follow(gateway.hub, user("ann"), "nothing"):
            pytest.fail("it was let in")
