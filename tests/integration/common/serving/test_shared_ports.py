"""Nodes that share a port: each accepts connections there from when it is ready until its stop begins."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from notifyx_local.ports import free_port
from support.patience import PATIENCE
from support.platform import eventually

SERVICE = Path(__file__).parent / "sharing_service.py"


def environment(folder: Path, name: str, port: int) -> dict[str, str]:
    return {
        "NOTIFYX_PORT": str(port),
        "NOTIFYX_METRICS_PORT": "0",
        "NOTIFYX_INSTANCE": name,
        "NOTIFYX_INTERNAL_TOKEN": "internal-token-of-tests",
        "NOTIFYX_READY_FILE": str(folder / f"{name}.json"),
    }


@contextlib.asynccontextmanager
async def node(folder: Path, name: str, port: int) -> AsyncIterator[Process]:
    """A node that listens on its own port, and on the shared one once ``allow`` was called."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVICE), str(folder / f"{name}.allowed"), env=environment(folder, name, port)
    )
    try:

        async def listens() -> bool:
            return (folder / f"{name}.json").exists()

        await eventually(listens)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def allow(folder: Path, name: str) -> None:
    """Let the node be ready."""
    (folder / f"{name}.allowed").touch()


async def fetch(port: int, path: str = "/name") -> str | None:
    """What a new connection is answered; ``None`` when it is refused."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        try:
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                return await response.text()
        except aiohttp.ClientConnectorError:
            return None


async def names(port: int, times: int = 20) -> set[str | None]:
    return {await fetch(port) for _ in range(times)}


async def test_a_node_joins_when_it_is_ready(tmp_path: Path) -> None:
    port = free_port()
    async with node(tmp_path, "first", port):
        own = json.loads((tmp_path / "first.json").read_text())["port"]
        assert own != port
        assert await fetch(own) == "first"
        assert await fetch(port) is None, "it is not ready"
        allow(tmp_path, "first")
        await eventually(lambda: fetch(port))
        async with node(tmp_path, "second", port):
            assert await names(port) == {"first"}, "the second is not ready"
            allow(tmp_path, "second")

            async def both() -> bool:
                return await names(port) == {"first", "second"}

            await eventually(both)


async def test_a_node_that_stops_finishes_what_it_has_and_gets_nothing_new(tmp_path: Path) -> None:
    port = free_port()
    async with node(tmp_path, "first", port) as first:
        allow(tmp_path, "first")
        await eventually(lambda: fetch(port))
        slow = asyncio.create_task(fetch(port, "/name?seconds=3"))
        async with node(tmp_path, "second", port):
            allow(tmp_path, "second")
            own = json.loads((tmp_path / "second.json").read_text())["port"]

            async def joined() -> bool:
                return "second" in await names(port)

            await eventually(joined)
            first.send_signal(signal.SIGTERM)

            async def alone() -> bool:
                return await names(port) == {"second"}

            await eventually(alone)
            assert await slow == "first"
            assert await first.wait() == 0
            assert await fetch(own) == "second"


async def test_a_port_that_somebody_else_has_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SERVICE), "x", env=environment(tmp_path, "late", port), stderr=PIPE
        )
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 2
        assert f"Cannot listen on 127.0.0.1:{port} (Address already in use)".encode() in said
