"""Connections to an HTTP port that cost their owner nothing: requests that never end, answers that nobody reads,
other protocols. Each test has clients that mean well beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import time
from statistics import median
from urllib.parse import urlsplit

import aiohttp
import pytest

from notifyx_common.contracts.registry import LIST_LEASES, LeaseList
from notifyx_common.serving.http_limits import HttpLimits
from support.clock import LoopTime
from support.http_port import (
    ANSWER,
    BOTH_WAYS,
    HEAD,
    LIMITS,
    QUICK,
    Client,
    Server,
    close,
    ended,
    on_uvloop,
    rest,
    serving,
)
from support.patience import PATIENCE, until
from support.platform import Platform

pytestmark = pytest.mark.xdist_group("abuse")


@BOTH_WAYS
async def test_requests_that_never_end_are_closed_within_their_time(directly: bool) -> None:
    async with serving(dataclasses.replace(QUICK, close_timeout=0.1), directly=directly) as server:
        beginnings = [
            b"",
            b"G",
            HEAD,
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
            HEAD + b"\r\n" + HEAD,
        ]
        clients = [await server.open(beginning) for beginning in beginnings * 20]
        await server.answers()
        got = await ended(clients)
        close(clients)
        assert [answer.partition(b"\r\n")[0][9:12] for answer in got[:4]] == [b"", b"408", b"408", b"408"]
        assert got[4].count(b"HTTP/1.1 200") == 1
        assert got[4].count(b"HTTP/1.1 408") == 1
        assert server.closed("head_timeout") == 80
        assert server.closed("body_timeout") == 20


async def test_parts_of_a_head_do_not_extend_its_time() -> None:
    async with serving(QUICK) as server:
        reader, writer = await server.open(HEAD)

        async def drip() -> None:
            while not writer.is_closing():
                writer.write(b"X-A: b\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b" 408 ")
        dripping.cancel()
        writer.close()


@BOTH_WAYS
async def test_a_client_that_is_idle_between_requests_or_sends_a_body_at_a_fair_rate_stays(directly: bool) -> None:
    time = LoopTime()
    async with serving(dataclasses.replace(LIMITS, body_rate=10), directly=directly) as server:
        reader, writer = await server.open(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
        for _ in range(10):
            writer.write(b"y" * 500)
            await asyncio.sleep(0.02)
            time.ahead += LIMITS.body_timeout / 2
        assert b"200" in await reader.readline()
        await reader.readuntil(b"\r\n\r\n5000")
        time.ahead += LIMITS.head_timeout * 2  # idle for longer than a head may take
        await asyncio.sleep(0.02)
        writer.write(HEAD + b"\r\n")
        assert b"200" in await reader.readline()
        writer.close()


@BOTH_WAYS
async def test_empty_lines_before_a_request_are_ignored_and_give_it_no_time(directly: bool) -> None:
    """RFC 9112, section 2.2: old clients send one after a body. Here a part of it comes with the next packet."""
    time = LoopTime()
    async with serving(directly=directly) as server:
        reader, writer = await server.open(b"\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n\r")
        assert b"200" in await reader.readline()
        await reader.readuntil(b"\r\n\r\n3")
        writer.write(b"\n" + HEAD + b"\r\n")
        assert b"200" in await reader.readline()
        await reader.readuntil(b"\r\n\r\nhere")
        lines = await server.open(b"\r\n" * 20_000)
        time.ahead += LIMITS.head_timeout * 2
        assert await rest(lines) == b""
        assert server.closed("head_timeout") == 1
        close([(reader, writer), lines])


async def test_a_request_that_is_refused_before_its_body_is_there_gets_its_answer() -> None:
    async with serving() as server:
        reader, writer = await server.open(b"DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
        await reader.readuntil(b" 405 ")
        for _ in range(5):
            writer.write(b"y" * 100_000)
            await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert server.closed("body_timeout") == 0


@BOTH_WAYS
@pytest.mark.parametrize(
    ("beginning", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nabc", b"408"),
        (HEAD, b"408"),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n", b"400"),
        (HEAD + b"X-A: " + b"x" * (1 << 17), b"431"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", b"505"),
    ],
)
async def test_who_still_sends_when_it_is_refused_gets_the_answer_and_no_reset(
    beginning: bytes, status: bytes, directly: bool
) -> None:
    async with serving(QUICK, directly=directly) as server:
        reader, writer = await server.open(beginning)
        async with asyncio.timeout(PATIENCE):
            assert await reader.readexactly(9) == b"HTTP/1.1 "
            for _ in range(5):
                writer.write(b"X-A: b\r\n" * 12_500)
                await writer.drain()
                await asyncio.sleep(0.01)
            assert await reader.readexactly(3) == status
        writer.close()
        await server.answers()


def test_a_body_over_the_limit_is_refused_and_never_reset() -> None:
    async def post() -> None:
        async with serving(HttpLimits()) as server, aiohttp.ClientSession() as session:
            for _ in range(20):
                async with session.post(f"{server.url}/", data=io.BytesIO(b"x" * (2 << 20))) as response:
                    assert response.status == 413

    on_uvloop(post())


@BOTH_WAYS
async def test_answers_on_one_connection_are_not_held_back(directly: bool) -> None:
    request_ = HEAD + b"\r\n"

    async def ask(client: Client) -> None:
        client[1].write(request_)
        await client[0].readuntil(b"here")

    async with serving(directly=directly) as server:
        new, same = list[float](), list[float]()
        for _ in range(40):
            started = time.perf_counter()
            client = await server.open()
            await ask(client)
            close([client])
            new.append(time.perf_counter() - started)
        client = await server.open()
        for _ in range(40):
            started = time.perf_counter()
            await ask(client)
            same.append(time.perf_counter() - started)
        close([client])
        # Where the second part of an answer waits for the acknowledgement of the first, each takes 40 ms.
        assert median(same) < 5 * median(new) + 0.02


@BOTH_WAYS
async def test_answers_that_nobody_reads_are_dropped(directly: bool) -> None:
    async with serving(dataclasses.replace(LIMITS, write_timeout=0.5), directly=directly) as server:
        unread = [await server.open(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(4)]
        async with asyncio.timeout(PATIENCE):
            while server.closed("write_timeout") < 4:
                await server.answers()
                await asyncio.sleep(0.05)
        close(unread)


@BOTH_WAYS
async def test_an_answer_that_is_read_slowly_is_complete(directly: bool) -> None:
    time = LoopTime()
    async with serving(directly=directly) as server:
        reader, writer = await server.open(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        got = 0
        while got < len(ANSWER):
            got += len(await reader.readexactly(1 << 20))
            await asyncio.sleep(0.02)
            time.ahead += LIMITS.write_timeout / 6
        writer.close()
        assert server.closed("write_timeout") == 0


@BOTH_WAYS
async def test_a_full_server_closes_what_waits_longest_and_no_request_in_progress(directly: bool) -> None:
    async with serving(dataclasses.replace(LIMITS, max_connections=20), directly=directly) as server:
        busy = await server.open(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.slow.wait()
        crowd = [await server.open(HEAD) for _ in range(60)]
        await server.answers()
        await ended(crowd[:40])
        assert server.closed("crowded_out") >= 41
        server.go.set()
        assert b"200" in await busy[0].readline()
        close([busy, *crowd])


@BOTH_WAYS
async def test_a_server_full_of_requests_in_progress_refuses_more(directly: bool) -> None:
    async with serving(dataclasses.replace(LIMITS, max_connections=2), directly=directly) as server:
        busy = [await server.open(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
        await server.slow.wait()
        assert await rest(await server.open(HEAD + b"\r\n")) == b""
        assert server.closed("node_limit") == 1
        server.go.set()
        assert [b"200" in await reader.readline() for reader, _ in busy] == [True, True]
        close(busy)


@BOTH_WAYS
async def test_a_server_that_stops_finishes_the_request_in_progress(directly: bool) -> None:
    async with serving(directly=directly) as server:
        idle, busy = await server.open(), await server.open(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.slow.wait()
        server.closing.set()
        assert await rest(idle) == b""
        server.go.set()
        assert b"late" in await rest(busy)
        close([idle, busy])


async def test_one_address_cannot_take_all_connections() -> None:
    async with serving(of_address=3) as server:
        clients = [await server.open() for _ in range(3)]
        assert await rest(await server.open(HEAD + b"\r\n")) == b""
        close(clients[:1])
        await asyncio.wait_for(_until_answered(server), PATIENCE)
        close(clients)


async def _until_answered(server: Server) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            await server.answers()
            return
        await asyncio.sleep(0.02)


@BOTH_WAYS
async def test_bodies_that_never_end_hold_a_bounded_part_of_the_memory(directly: bool) -> None:
    limits = dataclasses.replace(LIMITS, max_body_bytes=1 << 20)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    async with serving(limits, directly=directly) as server:
        clients = []
        for _ in range(8):
            client = await server.open(head + b"y" * 250_000)
            await client[1].drain()
            clients.append(client)
        await ended(clients[:3])
        assert 3 <= server.closed("bodies_limit") <= 5
        async with aiohttp.ClientSession() as session, session.post(server.url, data=b"y" * 100_000) as response:
            assert await response.text() == "100000"
        close(clients)


async def test_no_port_speaks_http_2(platform: Platform) -> None:
    async def known() -> set[str]:
        """The ports of every node, once all have registered: a lease may lapse on a busy machine."""
        async with (
            aiohttp.ClientSession(headers=platform.internal_headers("gateway")) as session,
            session.request(LIST_LEASES.method, f"{platform.gateway}{LIST_LEASES.path}") as response,
        ):
            nodes = LeaseList.model_validate_json(await response.read()).nodes
        urls = {url for node in nodes for url in (node.url, node.metrics_url) if url}
        return urls if len(urls | {platform.gateway}) >= 8 else set()

    urls = {platform.gateway, platform.mailbox} | await until(known, "a port and a metrics port of each service")
    for url in urls:
        where = urlsplit(url)
        assert where.hostname is not None
        for sent, status in (
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"505"),
            (
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
                None,
            ),
        ):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            writer.write(sent)
            line = await asyncio.wait_for(reader.readline(), PATIENCE)
            assert line.startswith(b"HTTP/1.1 "), f"{url} answered {line!r}"
            assert b" 101 " not in line
            assert status is None or status in line
            writer.close()


@BOTH_WAYS
def test_nobody_is_answered_who_has_gone(directly: bool) -> None:
    """A thousand requests in one piece, whose client closes with the first answer unread."""

    async def ask() -> None:
        async with serving(directly=directly) as server:
            client = await server.open((HEAD + b"\r\n") * 1000)
            while not server.calls["/"]:
                await asyncio.sleep(0)
            client[1].transport.abort()
            await until(lambda: server.connections == 0, "no connection")
            assert server.calls["/"] < 900

    on_uvloop(ask())


@BOTH_WAYS
def test_a_stop_waits_for_the_request_in_progress_and_not_for_those_behind_it(directly: bool) -> None:
    async def ask() -> None:
        async with serving(directly=directly) as server:
            client = await server.open(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
            await asyncio.wait_for(server.slow.wait(), PATIENCE)
            server.closing.set()
            server.go.set()
            assert (await rest(client)).count(b"late") == 1
            await until(lambda: server.connections == 0, "no connection")
            close([client])

    on_uvloop(ask())
