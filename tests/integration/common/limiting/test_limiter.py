"""One limit over a real memcached: shared by all gateways, exact under load, and each gateway's own without it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest

from notifyx_common.caching.memcached import OPERATION_TIMEOUT, Memcached
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.limiting.limiter import RateLimiter, bucket_key
from notifyx_common.metrics import Metrics
from notifyx_local.postgres import Cluster
from support.clock import SetForward
from support.gateway import PASSWORD, running_stack
from support.memcached import Memcached as Server
from support.memcached import client, connected, running_memcached
from support.patience import PATIENCE

BURST, INTERVAL = 10, 60.0


@pytest.fixture
def server() -> Iterator[Server]:
    with running_memcached() as one:
        yield one


class Node:
    """The limit as one gateway holds it."""

    def __init__(self, shared: Memcached | None, *, clock: Clock | None = None, timeout: float | None = None) -> None:
        self.shared = shared
        self.metrics = Metrics()
        self.limiter = RateLimiter(
            "test", BURST, INTERVAL, clock=clock or SystemClock(), metrics=self.metrics, shared=shared, timeout=timeout
        )

    def counted(self, tier: Literal["shared", "memory"], result: Literal["allowed", "refused", "error"]) -> float:
        labels = {"limit": "test", "tier": tier, "result": result}
        return self.metrics.registry.get_sample_value("notifyx_rate_limit_checks_total", labels) or 0.0


@contextlib.asynccontextmanager
async def node(server: Server, *, timeout: float = PATIENCE, clock: Clock | None = None) -> AsyncIterator[Node]:
    """A gateway's limit; a busy machine may take its time, except where time is what is tested."""
    async with connected(server, timeout=timeout, clock=clock) as shared:
        yield Node(shared, clock=clock)


async def test_gateways_count_together_and_exactly_under_load(server: Server) -> None:
    async with node(server) as one, node(server) as two, node(server) as three:
        takes = [each.limiter.try_acquire("192.0.2.1") for each in (one, two, three) for _ in range(BURST)]
        waits = await asyncio.gather(*takes)
        assert sum(wait == 0 for wait in waits) == BURST
        assert all(0 < wait <= INTERVAL for wait in waits if wait)
        assert sum(each.counted("shared", "allowed") for each in (one, two, three)) == BURST
        assert await one.limiter.try_acquire("192.0.2.2") == 0


async def test_a_refused_request_is_free_and_one_more_passes_after_the_wait_it_was_told(server: Server) -> None:
    clock = SetForward()
    async with node(server, clock=clock) as one, node(server, clock=clock) as two:
        for _ in range(BURST):
            assert await one.limiter.try_acquire("a") == 0
        waits = [await two.limiter.try_acquire("a") for _ in range(20)]
        assert 0 < waits[-1] <= waits[0] <= INTERVAL
        clock.ahead = waits[-1]
        assert await two.limiter.try_acquire("a") == 0


async def test_memcached_is_not_asked_again_about_who_was_rejected(server: Server) -> None:
    async with node(server) as one, node(server) as two:
        for _ in range(BURST):
            assert await one.limiter.try_acquire("a") == 0
        waits = await asyncio.gather(*(two.limiter.try_acquire("a") for _ in range(50)))
        assert all(0 < wait <= INTERVAL for wait in waits)
        assert (two.counted("shared", "refused"), two.counted("memory", "refused")) == (1, 49)


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_without_memcached_each_gateway_counts_alone_nobody_waits_and_it_is_counted(
    server: Server, how: str
) -> None:
    async with node(server, timeout=OPERATION_TIMEOUT) as one, node(server, timeout=OPERATION_TIMEOUT) as two:
        assert one.shared is not None
        # On a busy machine memcached may be late: then the two count alone, up to the burst of each.
        for each in (one, two):
            while await each.limiter.try_acquire("a") == 0:
                pass
        server.kill() if how == "kill" else server.signal(signal.SIGSTOP)
        errors, allowed = two.counted("shared", "error"), two.counted("memory", "allowed")
        started = time.monotonic()
        assert await two.limiter.try_acquire("a") > 0, "what memcached rejected outlives it, for its wait"
        waits = await asyncio.gather(*(two.limiter.try_acquire("b") for _ in range(1000)))
        assert time.monotonic() - started < 1000 * OPERATION_TIMEOUT / 2, "each waited for a dead memcached"
        assert sum(wait == 0 for wait in waits) == BURST
        assert two.counted("shared", "error") >= errors + BURST
        assert two.counted("memory", "allowed") == allowed + BURST
        assert await one.limiter.try_acquire("a") > 0, "what a gateway counted itself outlives memcached"


@contextlib.asynccontextmanager
async def slowed(server: Server, seconds: float) -> AsyncIterator[tuple[str, int]]:
    """The address of a way to ``server`` on which each answer takes that long."""
    connections: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        while data := await reader.read(1 << 16):
            await asyncio.sleep(pause)
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        back, forth = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(copy(reader, forth, 0.0), copy(back, writer, seconds))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()
        await asyncio.gather(*connections)


async def test_requests_do_not_queue_up_behind_a_slow_memcached(server: Server) -> None:
    async with (
        slowed(server, 0.02) as address,
        client([address]) as shared,
    ):
        async with asyncio.timeout(PATIENCE):
            while not shared.available:
                await asyncio.sleep(0.01)
        one = Node(shared, timeout=PATIENCE)
        waits = await asyncio.gather(*(one.limiter.try_acquire("a") for _ in range(200)))
        assert sum(wait == 0 for wait in waits) == BURST
        # Nobody asks memcached what the one before them was answered.
        assert one.counted("shared", "refused") + one.counted("shared", "allowed") == BURST + 1


async def test_without_a_memcached_the_process_counts() -> None:
    alone = Node(None)
    assert [await alone.limiter.try_acquire("a") > 0 for _ in range(BURST + 1)] == [False] * BURST + [True]
    assert (alone.counted("memory", "allowed"), alone.counted("memory", "refused")) == (BURST, 1)


async def test_what_nobody_could_have_written_is_an_empty_bucket_at_most(server: Server) -> None:
    async with node(server) as one:
        assert one.shared is not None
        for value, wait in ((b"junk", 0.0), (b"9e99", INTERVAL)):
            assert await one.shared.set(bucket_key(one.limiter.quota.name, "a"), value, 60)
            assert await one.limiter.try_acquire("a") == pytest.approx(wait)


async def test_two_gateways_slow_one_address_down_together(postgres: Cluster, server: Server) -> None:
    limits = {"memcached": server.address, "token_burst": 3, "token_interval": 60, "memcached_timeout": 5.0}
    async with running_stack(postgres, gateway=limits) as one, running_stack(postgres, gateway=limits) as two:
        for stack in (one, two):
            shared = stack.gateway.shared
            assert shared is not None
            async with asyncio.timeout(PATIENCE):
                while not shared.available:
                    await asyncio.sleep(0.01)
        form = {"grant_type": "password", "username": "nobody@example.com", "password": PASSWORD}
        replies = [await stack.call("POST", "/token", data=form) for stack in (one, two, one, two)]
        assert [reply.status for reply in replies] == [400, 400, 400, 429]
        assert replies[-1].code == "rate_limited"
        assert [reply.headers["RateLimit"].split(";")[1] for reply in replies] == ["r=2", "r=1", "r=0", "r=0"]
        assert {reply.headers["RateLimit-Policy"] for reply in replies} == {'"tokens";q=3;w=180'}
        assert 20 <= int(replies[-1].headers["Retry-After"]) <= 60
