"""The official ``phoenix`` npm client, by each of its transports, before two gateways that are killed in turn."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from support.node import node
from support.official_client import install_client
from support.patience import PATIENCE
from support.platform import Platform, person, several_nodes
from support.sharing import Shared

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("several-nodes")]

COUNT = 60
VICTIMS = ("gateway-1", "gateway-2")


@pytest.fixture(scope="module")
def platform(shared: Shared) -> Platform:
    return shared.enter(several_nodes)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client")
    install_client(folder)
    return folder


@pytest.mark.parametrize("transport", ["websocket", "longpoll"])
async def test_nothing_is_lost_doubled_or_reordered(platform: Platform, client: Path, transport: str) -> None:
    topic = f"official.{transport}"
    socket = platform.socket if transport == "websocket" else f"{platform.gateway.replace('http', 'ws')}/socket"
    async with person(platform, f"official-{transport}") as someone:
        await someone.call("POST", "/topics", json={"name": topic})
        environment = {
            **os.environ,
            "SOCKET_URL": socket,
            "TOKEN": someone.token,
            "TOPIC": topic,
            "TRANSPORT": transport,
            "COUNT": str(COUNT),
        }
        process = await asyncio.create_subprocess_exec(
            *node("node"), "losses.mjs", cwd=client, env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(5 * PATIENCE):
                for victim in VICTIMS:
                    assert (await process.stdout.readline()).startswith(b"at ")
                    killed = platform.kill(victim)
                    process.stdin.write(b"go on\n")  # what it publishes now may meet the dead gateway
                    await platform.replaced({victim: killed})
                line = await process.stdout.readline()
                assert await process.wait() == 0, line
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    said = json.loads(line)
    assert sorted(said["answered"].values()) == list(range(1, COUNT + 1)), "each key took exactly one seq"
    assert [seq for seq, _ in said["received"]] == list(range(1, COUNT + 1))
    assert {body: seq for seq, body in said["received"]} == said["answered"]
    assert said["cut"] > 0, "one of the two gateways had its connection, or its session"
