"""The official ``phoenix`` npm client, unmodified, as a program that makes a journey against a platform."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from support.node import node
from support.patience import PATIENCE
from support.platform import Served, person

PACKAGE = Path(__file__).parents[1] / "integration" / "phoenix" / "client"


def install_client(folder: Path) -> None:
    """Install the client's package with its dependencies, from its lock file."""
    for name in ("package.json", "package-lock.json", ".npmrc", "journey.mjs", "losses.mjs"):
        shutil.copy(PACKAGE / name, folder)
    command = [*node("npm"), "ci", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=5 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


async def make_journey(platform: Served, folder: Path, topic: str = "journey") -> None:
    """Two people on three devices: connect, join, publish, receive, acknowledge, leave, rejoin, resume."""
    async with person(platform, "alice") as alice, person(platform, "bob") as bob:
        environment = {
            **os.environ,
            "SOCKET_URL": platform.socket,
            "ALICE_TOKEN": alice.token,
            "BOB_TOKEN": bob.token,
            "BOB_ID": bob.id,
            "TOPIC": topic,
        }
        process = await asyncio.create_subprocess_exec(
            *node("node"), "journey.mjs", cwd=folder, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(5 * PATIENCE):
            output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert "ok 13" in text, text
    assert "1..13" in text, text
