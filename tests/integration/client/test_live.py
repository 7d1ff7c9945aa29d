"""Subscriptions against a real socket whose store can be made to do anything: breaks, gaps, deletions, ended tokens."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from notifyx import channel_connection
from notifyx.backoff import Backoff
from notifyx.channel_connection import open_connection
from notifyx.errors import Forbidden, HistoryTruncated, NotFound, NotifyxError, NotLoggedIn, Unreachable
from notifyx.live import Live
from notifyx.tokens import FixedToken, TokenSource
from notifyx_gateway.socket.settings import SocketSettings
from notifyx_local.ports import free_port
from support.clock import SetForward
from support.memory_store import MemoryStore
from support.patience import PATIENCE, until
from support.socket_gateway import Gateway, running_gateway

SETTINGS = SocketSettings(port=0, idle_check_interval=0.1, token_grace=0.2, key_check_interval=0.2, close_grace=0.5)
QUICK = Backoff(first=0.01, maximum=0.05)
ANN = FixedToken("user.ann")
GIVEN_UP = 0.002
"""Seconds of a wait that is given up again and again."""


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        store.topic("news")
        yield store


@pytest.fixture
async def gateway(memory: MemoryStore) -> AsyncIterator[Gateway]:
    async with running_gateway([memory.url], settings=SETTINGS) as running:
        yield running


@asynccontextmanager
async def following(url: str, topic: str = "news", tokens: TokenSource = ANN, **options: Any) -> AsyncIterator[Live]:
    async with aiohttp.ClientSession() as session:
        defaults = {"since": None, "patience": PATIENCE, "backoff": QUICK}
        async with Live(
            topic, lambda: open_connection(session, url, topic, tokens), tokens, **{**defaults, **options}
        ) as live:
            yield live


async def take(live: Live, count: int) -> list[int]:
    async with asyncio.timeout(PATIENCE):
        return [(await anext(live)).seq for _ in range(count)]


def drop(gateway: Gateway, code: int = 1012) -> None:
    for connection in tuple(gateway.listener._connections):
        connection.close(code, "dropped")


async def test_whatever_breaks_when_each_comes_once_and_in_order(memory: MemoryStore, gateway: Gateway) -> None:
    chance, states = random.Random(7), list[str]()
    async with following(gateway.url, since=0, on_state=lambda state, _: states.append(state)) as live:

        async def break_it() -> None:
            for _ in range(60):
                memory.append("news", "x", chance.randrange(1, 40))
                if chance.random() < 0.4:
                    drop(gateway, chance.choice([1000, 1011, 1012, 4001]))
                await asyncio.sleep(chance.random() * 0.03)
            memory.append("news", "the last")

        breaking = asyncio.create_task(break_it())
        seen = list[int]()
        async with asyncio.timeout(5 * PATIENCE):
            async for notification in live:
                seen.append(notification.seq)
                if notification.body == "the last":
                    break
        await breaking
    assert seen == list(range(1, memory.topic("news").last_seq + 1))
    assert states.count("live") > 5
    assert live.last_seq == seen[-1]


async def test_a_wait_that_is_given_up_loses_nothing(memory: MemoryStore, gateway: Gateway) -> None:
    async with following(gateway.url, since=0) as live:
        await live.open()
        seen = list[int]()
        until = time.monotonic() + PATIENCE
        while len(seen) < 200 and time.monotonic() < until:
            if len(seen) % 3 == 0:
                memory.append("news", "x", 2)
            try:
                async with asyncio.timeout(GIVEN_UP):
                    seen.append((await anext(live)).seq)
            except TimeoutError:
                memory.append("news", "x")
        assert seen == list(range(1, 201))


async def test_a_reader_that_is_slow_gets_all_of_it(memory: MemoryStore) -> None:
    settings = SocketSettings(port=0, max_pending=512 << 10, close_grace=0.2)
    async with running_gateway([memory.url], settings=settings) as gateway, following(gateway.url, since=0) as live:
        memory.append("news", "x")
        assert await take(live, 1) == [1]
        for _ in range(20):  # 10 MB: far more than is kept for one connection, and nobody reads
            memory.append("news", "x" * 5_000, 100)
            await asyncio.sleep(0.02)
        assert await take(live, 2000) == list(range(2, 2002))


async def test_what_is_gone_is_told_and_the_rest_follows(memory: MemoryStore, gateway: Gateway) -> None:
    memory.append("news", "x", 20)
    memory.topic("news").remove_up_to(10)
    async with following(gateway.url, since=4) as live:
        with pytest.raises(HistoryTruncated) as raised:
            await take(live, 1)
        assert (raised.value.since, raised.value.first_seq, raised.value.missing) == (4, 11, 6)
        assert await take(live, 10) == list(range(11, 21)), "iterating further goes on with what is left"
    told = list[HistoryTruncated]()
    async with following(gateway.url, since=raised.value.resume_at, on_truncated=told.append) as live:
        assert await take(live, 10) == list(range(11, 21))
        assert told == []
    async with following(gateway.url, since=4, on_truncated=told.append) as live:
        assert await take(live, 10) == list(range(11, 21))
    assert [gap.missing for gap in told] == [6]


async def test_what_was_pruned_while_it_was_away_is_told(memory: MemoryStore, gateway: Gateway) -> None:
    async with following(gateway.url, since=0) as live:
        memory.append("news", "x", 3)
        assert await take(live, 3) == [1, 2, 3]
        drop(gateway)
        topic = memory.topic("news")
        topic.last_seq = 10  # 4 to 10 came and went
        topic.remove_up_to(10)
        with pytest.raises(HistoryTruncated) as raised:
            await take(live, 1)
        assert (raised.value.since, raised.value.first_seq) == (3, 11)
        memory.append("news", "x")
        assert await take(live, 1) == [11]


async def test_a_topic_that_is_deleted_and_made_anew(memory: MemoryStore, gateway: Gateway) -> None:
    async with following(gateway.url, since=0) as live:
        memory.append("news", "x", 5)
        assert await take(live, 5) == [1, 2, 3, 4, 5]
        await memory.delete("news")
        with pytest.raises(NotFound) as gone:
            await take(live, 1)
        assert gone.value.code == "topic_deleted"
    memory.append("news", "new", 2)
    async with following(gateway.url, since=5) as live:
        with pytest.raises(HistoryTruncated) as raised:
            await take(live, 1)
        assert raised.value.replaced
        assert await take(live, 2) == [1, 2]


async def test_what_waiting_does_not_mend_is_raised(memory: MemoryStore, gateway: Gateway) -> None:
    memory.topic("news").restrict()
    failing: list[tuple[str, TokenSource, type[NotifyxError]]] = [
        ("news", ANN, Forbidden),
        ("none", ANN, NotFound),
        ("news", FixedToken("forged"), NotLoggedIn),
        ("news", FixedToken("nfx_bad"), NotLoggedIn),
    ]
    for topic, tokens, kind in failing:
        async with following(gateway.url, topic, tokens) as live:
            with pytest.raises(kind):
                await take(live, 1)


async def test_nobody_there_is_told_after_some_patience() -> None:
    async with following(f"http://127.0.0.1:{free_port()}/socket", patience=0.3) as live:
        with pytest.raises(Unreachable):
            await take(live, 1)


async def test_one_that_never_comes_back_is_given_up_when_that_is_wished(memory: MemoryStore) -> None:
    async with running_gateway([memory.url], settings=SETTINGS) as gateway:
        live_context = following(gateway.url, since=0, give_up_after=0.3)
        live = await live_context.__aenter__()
        memory.append("news", "x")
        assert await take(live, 1) == [1]
    with pytest.raises(NotifyxError) as raised:
        await take(live, 1)
    assert raised.value.retryable
    await live_context.__aexit__(None, None, None)


async def test_closing_it_ends_whoever_reads(gateway: Gateway) -> None:
    async with following(gateway.url) as live:
        await live.open()

        async def read() -> list[int]:
            return [notification.seq async for notification in live]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.05)  # until it waits; closing earlier would end it as well
        await live.aclose()
        assert await asyncio.wait_for(reading, PATIENCE) == []


class ShortLived:
    """Access tokens of ten minutes, replaced after a moment."""

    def __init__(self, *, renewing: bool = True) -> None:
        self.given = 0
        self._renewing = renewing
        self._token = ""
        self._until = 0.0

    async def token(self) -> str:
        if not self._token or (self._renewing and time.time() >= self._until):
            self.given += 1
            self._until = time.time() + 0.1
            # No two are the same, as with real ones.
            self._token = f"user.ann.{600 + self.given / 1000}"
        return self._token

    async def renew(self, rejected: str, why: NotLoggedIn) -> str:
        self._token = ""
        return await self.token()

    def renew_at(self) -> float:
        return self._until


@pytest.mark.parametrize("topic", ["news", "user:me"])
async def test_a_connection_outlives_its_token_when_a_newer_one_is_there(
    memory: MemoryStore, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_connection, "TOKEN_CHECK_INTERVAL", 0.05)
    states, tokens, clock = list[str](), ShortLived(), SetForward()
    stored = "user:ann" if topic == "user:me" else topic
    async with (
        running_gateway([memory.url], settings=SETTINGS, clock=clock) as gateway,
        following(gateway.url, topic, tokens, since=0, on_state=lambda state, _: states.append(state)) as live,
    ):
        for n in range(1, 5):
            memory.append(stored, "x")
            assert await take(live, 1) == [n]
            (connection,) = gateway.listener._connections
            known = connection.client.expires_at
            clock.ahead += 400  # the token lives for 200 s yet, its successor for 600
            await until(lambda: connection.client.expires_at > known + 300, "the next token is there")  # noqa: B023
    assert states == ["live"], "the same connection all the time"
    assert tokens.given >= 3


async def test_a_token_that_ends_is_replaced_by_connecting_again(memory: MemoryStore) -> None:
    states, clock = list[str](), SetForward()

    class Late(ShortLived):
        def renew_at(self) -> float:
            return float("inf")

    async with (
        running_gateway([memory.url], settings=SETTINGS, clock=clock) as gateway,
        following(gateway.url, "news", Late(), since=0, on_state=lambda state, _: states.append(state)) as live,
    ):
        memory.append("news", "x")
        assert await take(live, 1) == [1]
        clock.ahead = 601
        waiting = asyncio.create_task(take(live, 1))
        async with asyncio.timeout(PATIENCE):
            while states.count("live") < 2:
                await asyncio.sleep(0.05)
        memory.append("news", "x")
        assert await waiting == [2]


async def test_an_api_key_that_is_revoked_ends_it(memory: MemoryStore, gateway: Gateway) -> None:
    async with following(gateway.url, tokens=FixedToken("nfx_ann"), since=0) as live:
        memory.append("news", "x")
        assert await take(live, 1) == [1]
        gateway.tokens.revoked.add("nfx_ann")
        with pytest.raises(NotLoggedIn):
            await take(live, 1)
