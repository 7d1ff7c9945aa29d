"""Links between two parts: what passes, and what does not while they are broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from chaos.histories.links import Link
from support.patience import PATIENCE


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that answers each line with the same line."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                heard.append(line)
                writer.write(line)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


heard: list[bytes] = []


@pytest.fixture
async def link(echo: int) -> AsyncIterator[tuple[Link, int]]:
    link = Link("echo", Random(1))
    async with link.port("127.0.0.1", 0, lambda: ("127.0.0.1", echo)) as port:
        yield link, port


async def ask(port: int, line: bytes = b"hello\n") -> bytes:
    """Send a line over a new connection; the answer, which is empty if the connection broke."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(line)
            return await reader.readline()
        except ConnectionError:
            return b""
        finally:
            writer.close()


async def test_what_passes_is_what_was_sent(link: tuple[Link, int]) -> None:
    way, port = link
    assert await ask(port) == b"hello\n"
    with way.fault("delay", 0.01):
        assert await ask(port) == b"hello\n"


async def test_a_cut_ends_connections_and_accepts_none(link: tuple[Link, int]) -> None:
    way, port = link
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"before\n")
    assert await reader.readline() == b"before\n"
    with way.fault("cut"):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert await ask(port) == b""
    assert await ask(port) == b"hello\n"
    writer.close()


async def test_nothing_passes_a_stall_until_it_is_over(link: tuple[Link, int]) -> None:
    way, port = link
    with way.fault("stall"):
        asking = asyncio.create_task(ask(port, b"late\n"))
        assert await ask_refused(asking)
    assert await asking == b"late\n"


async def ask_refused(asking: asyncio.Task[bytes]) -> bool:
    """Whether there is no answer after all that could bring one has had its turn."""
    done, _ = await asyncio.wait([asking], timeout=0.2)
    return not done


async def test_answers_that_are_held_up_are_lost_and_what_was_asked_was_heard(link: tuple[Link, int]) -> None:
    way, port = link
    heard.clear()
    with way.fault("stall_answers"):
        asking = asyncio.create_task(ask(port, b"taken\n"))
        async with asyncio.timeout(PATIENCE):
            while heard != [b"taken\n"]:
                await asyncio.sleep(0.01)
    assert await asking == b""


async def test_corrupt_bytes_are_changed_and_lossy_connections_break(link: tuple[Link, int]) -> None:
    way, port = link
    line, changed = b"a" * 50 + b"\n", 0
    with way.fault("corrupt", 0.4):
        for _ in range(20):
            changed += await ask(port, line + b"\n\n") != line  # each way may change one end of a line
    assert 0 < changed < 20
    with way.fault("corrupt", 1.0):
        assert await ask(port) == b"hello\n", "there is no value to forge"
    with way.fault("lossy", 1.0):
        assert await ask(port) == b""
