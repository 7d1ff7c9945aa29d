"""Clients of the socket in several languages, unmodified, against the whole platform.

Each joins a topic, publishes to it, receives what it published, and acknowledges it; some join again and resume.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.programs import SOURCES, installed, java_command, java_journey, node_packages, run_program, rust_journey
from support.documents import DOCS
from support.node import node
from support.platform import Platform, person

pytestmark = pytest.mark.xdist_group("clients")

Command = Callable[[], tuple[list[str | Path], Path | None]]


def javascript() -> tuple[list[str | Path], Path | None]:
    return [*node("node"), "journey.mjs"], node_packages()


def python() -> tuple[list[str | Path], Path | None]:
    installed("phxsocket")
    return [sys.executable, SOURCES / "python" / "phxsocket_journey.py"], None


def rust() -> tuple[list[str | Path], Path | None]:
    return [rust_journey()], None


def java() -> tuple[list[str | Path], Path | None]:
    return [*java_command(java_journey())], None


@pytest.mark.parametrize(
    ("name", "command", "environment"),
    [
        ("phoenix", javascript, {"CLIENT": "phoenix"}),
        # As on a Node.js without WebSocket: the client then polls, at the socket's own port.
        ("phoenix-longpoll", javascript, {"CLIENT": "phoenix", "WEBSOCKET": "none"}),
        ("phoenix-channels", javascript, {"CLIENT": "phoenix-channels"}),
        ("phoenix-socket", javascript, {"CLIENT": "phoenix-socket"}),
        ("phxsocket", python, {}),
        ("rust", rust, {}),
        ("java", java, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_client_publishes_receives_and_acknowledges(
    platform: Platform, name: str, command: Command, environment: dict[str, str]
) -> None:
    program, folder = await asyncio.to_thread(command)
    async with person(platform, "ada") as ada:
        await ada.call("POST", "/topics", json={"name": name})
        variables = {"SOCKET_URL": platform.socket, "TOKEN": ada.token, "TOPIC": name, **environment}
        assert (await asyncio.to_thread(run_program, program, variables, folder)).strip() == "received 1"
        subscription = await ada.call("GET", f"/topics/{name}/notifications")
        assert [item["seq"] for item in subscription["items"]] == [1]


def test_the_documentation_names_the_versions_that_are_run() -> None:
    page = (DOCS / "integrations" / "README.md").read_text()
    wanted = {
        **json.loads((SOURCES / "node" / "package.json").read_text())["dependencies"],
        "phoenix_channels_client": _found("rust/Cargo.toml", r'phoenix_channels_client = "=(.+)"'),
        "JavaPhoenixClient": _found("java/pom.xml", r"JavaPhoenixClient</artifactId>\s*<version>(.+)</version>"),
        "Alertmanager": _found("alertmanager/go.mod", r"alertmanager v(\S+)"),
        "SDK for Go": _found("cloudevents-go/go.mod", r"sdk-go/v2 v(\S+)"),
        **dict(re.findall(r'"(apprise|phxsocket)==(.+)"', (DOCS.parent / "pyproject.toml").read_text())),
    }
    wanted["SDK for JavaScript"] = wanted.pop("cloudevents")
    rows = [row for row in page.splitlines() if row.startswith("| ")]
    for name, version in wanted.items():
        assert any(name.lower() in row.lower() and f"| {version} |" in row for row in rows), f"{name} {version}"


def _found(path: str, pattern: str) -> str:
    found = re.search(pattern, (SOURCES / path).read_text())
    assert found is not None, path
    return found[1]
