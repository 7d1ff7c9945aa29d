"""The host ``::``: one socket for clients of IPv4 and IPv6, also where a machine has one of them only."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from quart import Quart, request

from notifyx_common.host_port import host_port
from notifyx_common.metrics import Metrics
from notifyx_common.serving.http_connections import Connections
from notifyx_common.serving.http_limits import HttpLimits
from notifyx_common.serving.http_server import HttpServer
from notifyx_common.serving.http_turns import RequestTurns
from notifyx_common.serving.lifecycle import PortTaken, bind
from support.patience import PATIENCE


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as tried:
        tried.bind(("::1", 0))
        return True
    return False


def _peer_app() -> Quart:
    """Answers with the address of who asks."""
    app = Quart(__name__)

    @app.get("/")
    async def peer() -> str:
        return str(request.remote_addr)

    return app


async def _ask(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer.decode().rpartition("\r\n\r\n")[2]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with contextlib.closing(bind("::", 0, "NOTIFYX_PORT")) as sock:
        yield sock


async def test_clients_of_both_families_are_known_by_their_own_addresses(listening: socket.socket) -> None:
    limits = HttpLimits()
    connections = Connections("http_connections", limits, Metrics())
    server, stop = (
        HttpServer(_peer_app(), listening, limits=limits, connections=connections, turns=RequestTurns()),
        asyncio.Event(),
    )
    running = asyncio.create_task(server.run(stop))
    port = listening.getsockname()[1]
    try:
        assert await _ask("127.0.0.1", port) == "127.0.0.1"
        if _has_ipv6():
            assert await _ask("::1", port) == "::1"
    finally:
        stop.set()
        await running


def test_a_port_that_is_taken_is_told_as_in_a_url() -> None:
    with contextlib.closing(bind("::", 0, "NOTIFYX_PORT")) as sock:
        port = sock.getsockname()[1]
        host = "::" if sock.family == socket.AF_INET6 else "0.0.0.0"
        with pytest.raises(PortTaken, match=re.escape(f"Cannot listen on {host_port(host, port)} (")):
            bind("::", port, "NOTIFYX_PORT")


def test_a_machine_without_ipv6_gets_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.socket

    def refusing(family: int = socket.AF_INET, *more: Any, **options: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return made(family, *more, **options)

    monkeypatch.setattr(socket, "socket", refusing)
    with contextlib.closing(bind("::", 0, "NOTIFYX_PORT")) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"
    with pytest.raises(OSError, match="not supported"):
        bind("::1", 0, "NOTIFYX_PORT")
