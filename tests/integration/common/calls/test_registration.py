"""A node's lease at a gateway, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from notifyx_common.background import Background
from notifyx_common.calls.registration import Registration
from notifyx_common.metrics import Metrics
from notifyx_common.settings import ServiceSettings
from notifyx_local.ports import free_port
from support.patience import PATIENCE

OK = b"HTTP/1.1 204 NO CONTENT\r\n\r\n"


def registration(url: str) -> Registration:
    settings = ServiceSettings(internal_token="x" * 32, registry_urls=(url,), registry_lease=0.3)
    return Registration(
        service="store",
        instance="store-1",
        url="http://127.0.0.1:1",
        metrics_url="",
        settings=settings,
        background=Background(Metrics()),
    )


@contextlib.asynccontextmanager
async def gateway(answer: Callable[[str, int], bytes | None]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server, and the methods that it was called with. ``answer`` gets a method and how many its connection had
    before; without an answer the connection ends."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
            for number in range(1000):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
                seen.append(method := head.partition(" ")[0])
                if (sent := answer(method, number)) is None:
                    return
                writer.write(sent)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


async def test_a_lease_ends_although_its_connection_has() -> None:
    """A gateway closes a connection that was idle at the moment in which a node stops."""
    async with gateway(lambda method, number: None if method == "delete" and number else OK) as (url, seen):
        async with registration(url), asyncio.timeout(PATIENCE):
            while len(seen) < 2:
                await asyncio.sleep(0.01)
        assert seen[-2:] == ["delete", "delete"]
        assert set(seen[:-2]) == {"put"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "cannot be called"),
        (lambda *_: None, "broke off before it answered"),
        (lambda *_: b"", "does not answer"),
        (lambda *_: b"HTTP/1.1 403 FORBIDDEN\r\nContent-Length: 0\r\n\r\n", "does not accept the registration (403)"),
        (lambda *_: b"SSH-2.0-OpenSSH\r\n\r\n", "cannot be called: another version"),
    ],
)
async def test_why_a_node_is_not_registered(answer: Callable[[str, int], bytes | None] | None, says: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        url = f"http://127.0.0.1:{free_port()}"
        if answer is not None:
            url, _ = await stack.enter_async_context(gateway(answer))
        logs = stack.enter_context(capture_logs())
        async with registration(url), asyncio.timeout(PATIENCE):
            while not logs:
                await asyncio.sleep(0.01)
        assert logs[0]["event"] == "background_work_waiting"
        assert says in logs[0]["reason"]
