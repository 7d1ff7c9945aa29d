"""The two tiers over a real memcached, and over one that is killed or frozen in the middle."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time
from collections.abc import Callable, Iterator

import pytest

from notifyx_common.background import Background
from notifyx_common.caching.cache import Cache
from notifyx_common.caching.memcached import MAX_VALUE_BYTES, OPERATION_TIMEOUT, Memcached, parse_servers
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.metrics import Metrics
from support.clock import SetForward
from support.memcached import Memcached as Server
from support.memcached import client, connected, running_memcached
from support.patience import PATIENCE, until


@pytest.fixture
def server() -> Iterator[Server]:
    with running_memcached() as one:
        yield one


def cache(
    shared: Memcached | None, name: str = "test", metrics: Metrics | None = None, clock: Clock | None = None
) -> Cache[dict[str, str]]:
    return Cache(
        name,
        encode=lambda value: value,
        decode=dict,
        clock=clock or SystemClock(),
        metrics=metrics or Metrics(),
        shared=shared,
        background=Background(Metrics()),
    )


def loads(answer: str) -> tuple[Callable[[], object], list[int]]:
    calls: list[int] = []

    async def load() -> dict[str, str]:
        calls.append(1)
        return {"answer": answer}

    return load, calls


async def test_what_one_gateway_loaded_another_finds(server: Server) -> None:
    async with connected(server) as one, connected(server) as two:
        load, calls = loads("42")
        assert await cache(one).get_or_load("käy 😀", load, 30) == {"answer": "42"}  # type: ignore[arg-type]
        other = cache(two)
        assert await other.get_or_load("käy 😀", load, 30) == {"answer": "42"}  # type: ignore[arg-type]
        assert len(calls) == 1
        await other.delete("käy 😀")
        assert await cache(one).get_or_load("käy 😀", load, 30) == {"answer": "42"}  # type: ignore[arg-type]
        assert len(calls) == 2


async def test_a_value_never_lives_longer_for_having_passed_through_a_connected(server: Server) -> None:
    clock = SetForward()
    async with connected(server, clock=clock) as shared:
        load, calls = loads("x")
        await cache(shared, clock=clock).get_or_load("k", load, 1000)  # type: ignore[arg-type]
        reader = cache(shared, clock=clock)
        clock.ahead = 500
        await reader.get_or_load("k", load, 1000)  # type: ignore[arg-type]
        assert len(calls) == 1
        clock.ahead = 1001
        await reader.get_or_load("k", load, 1000)  # type: ignore[arg-type]
        assert len(calls) == 2


async def test_what_another_version_wrote_is_a_miss(server: Server) -> None:
    async with connected(server) as shared:
        kept = cache(shared)
        await shared.set(kept._shared_key("k"), b"\x00junk", 30)
        load, calls = loads("fresh")
        assert await kept.get_or_load("k", load, 30) == {"answer": "fresh"}  # type: ignore[arg-type]
        assert len(calls) == 1


async def test_a_value_too_large_is_not_stored_and_nothing_breaks(server: Server) -> None:
    async with connected(server) as shared:
        assert await shared.set(b"big", b"x" * (MAX_VALUE_BYTES + 1), 30) is False
        assert await shared.set(b"fits", b"x" * MAX_VALUE_BYTES, 30) is True
        entry, answered = await shared.get(b"fits")
        assert answered
        assert entry is not None
        assert entry.content == b"x" * MAX_VALUE_BYTES
        assert len(shared.available) == 1


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_no_request_fails_or_waits_when_memcached_is_lost_under_load(server: Server, how: str) -> None:
    metrics = Metrics()
    async with connected(server, timeout=OPERATION_TIMEOUT) as shared:
        seconds: list[float] = []
        calls = 0
        stop = asyncio.Event()

        async def worker(number: int) -> None:
            nonlocal calls
            kept = cache(shared, metrics=metrics)
            while not stop.is_set():
                load, _ = loads(str(calls))
                calls += 1
                started = time.monotonic()
                await kept.get_or_load(f"{number}-{calls}", load, 30)  # type: ignore[arg-type]
                seconds.append(time.monotonic() - started)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(worker(number))
            await until(lambda: calls > 500)
            server.kill() if how == "kill" else server.signal(signal.SIGSTOP)
            await until(lambda: not shared.available)
            before = len(seconds)
            await until(lambda: len(seconds) > before + 2000)
            while_lost = seconds[before:]
            server.start() if how == "kill" else server.signal(signal.SIGCONT)
            await until(lambda: bool(shared.available))
            stop.set()
        # Unprotected, each would wait for its deadline. A probe's mistake costs some that, a busy machine a few more.
        assert statistics.quantiles(while_lost, n=10)[-1] < OPERATION_TIMEOUT
        async with asyncio.timeout(PATIENCE):
            while not await shared.set(b"again", b"1", 30) or (await shared.get(b"again"))[0] is None:
                await asyncio.sleep(0.05)


async def test_no_answer_ever_reaches_the_wrong_caller_when_operations_are_cut_short(server: Server) -> None:
    async with connected(server) as shared:
        for number in range(200):
            assert await shared.set(b"k%d" % number, b"v%d" % number, 30)
        for round_ in range(20):
            gets = [asyncio.create_task(shared.get(b"k%d" % number)) for number in range(200)]
            for _ in range(round_ % 5):
                await asyncio.sleep(0)
            for task in gets[::2]:
                task.cancel()
            results = await asyncio.gather(*gets, return_exceptions=True)
            for number, result in enumerate(results):
                if not isinstance(result, BaseException) and result[0] is not None:
                    assert result[0].content == b"v%d" % number
            await until(lambda: bool(shared.available))


async def test_a_server_that_answers_is_kept_however_late_the_loop_is(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, late, ended = asyncio.get_running_loop(), 0.0, asyncio.Event()
    time_of_loop = loop.time
    monkeypatch.setattr(loop, "time", lambda: time_of_loop() + late)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal late
        while line := await reader.readline():
            if line.startswith(b"version"):
                writer.write(b"VERSION 1.6\r\n")
            else:
                # The answer and the end of the time are there in the same round.
                late += PATIENCE
                writer.write(b"NOT_FOUND\r\n")
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        async with client([(host, port)], timeout=PATIENCE / 2) as shared:
            await until(lambda: bool(shared.available))
            for _ in range(3):
                assert await shared.delete(b"key")
            assert shared.available
        await ended.wait()


async def test_a_dead_server_costs_the_keys_of_the_others_nothing(server: Server) -> None:
    with running_memcached() as second:
        async with connected(server, second) as shared:
            keys = [b"%d" % number for number in range(100)]
            assert all([await shared.set(key, b"1", 30) for key in keys])
            second.kill()
            await asyncio.gather(*(shared.get(key) for key in keys))
            await until(lambda: shared.available == [server.address])
            found = {key: await shared.get(key) for key in keys}
            for key, (entry, answered) in found.items():
                assert answered == (entry is not None) == (shared.server_of(key) == server.address)


async def test_a_gateway_that_starts_without_its_memcached_finds_it_later(server: Server) -> None:
    server.kill()
    async with client(parse_servers(server.address)) as shared:
        assert await shared.get(b"k") == (None, False)
        server.start()
        await until(lambda: bool(shared.available))
        assert await shared.get(b"k") == (None, True)


async def test_a_connection_that_ends_in_the_middle_of_a_command_stops_nobody() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).startswith(b"version"):
            writer.write(b"VERSION 1.6\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        async with client([(host, port)]) as shared:
            for command in (shared.set(b"k", b"1", 30), shared.delete(b"k")):
                await until(lambda: bool(shared.available))
                assert await command is False
