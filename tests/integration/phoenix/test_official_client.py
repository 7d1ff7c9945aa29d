"""The official ``phoenix`` npm client, unmodified, against the whole platform."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.node import node
from support.platform import Platform, person

CLIENT = Path(__file__).parent / "client"


@pytest.fixture(scope="session")
def client_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's package with its dependencies, installed from its lock file."""
    folder = tmp_path_factory.mktemp("phoenix")
    for name in ("package.json", "package-lock.json", ".npmrc", "journey.mjs"):
        shutil.copy(CLIENT / name, folder)
    result = subprocess.run(
        [*node("npm"), "ci", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder


async def test_the_journey_of_two_people_on_three_devices(platform: Platform, client_folder: Path) -> None:
    async with person(platform, "alice") as alice, person(platform, "bob") as bob:
        environment = {
            **os.environ,
            "SOCKET_URL": platform.socket,
            "ALICE_TOKEN": alice.token,
            "BOB_TOKEN": bob.token,
            "BOB_ID": bob.id,
            "TOPIC": "journey",
        }
        process = await asyncio.create_subprocess_exec(
            *node("node"), "journey.mjs", cwd=client_folder, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(90):
            output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert "ok 13" in text, text
    assert "1..13" in text, text
