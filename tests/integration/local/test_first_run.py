"""The first ``notifyx up`` of a clone, whose web client is not built yet: what is said, when, and whether it is true.

The package runs from a copy beside web sources of the test's own; in place of Node.js there is a program whose build
ends when the test says so.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

import notifyx_local
from notifyx_local.ports import free_port
from support.platform import eventually

NODE = """#!/bin/sh
case "$1" in
--version) echo v99.1.0;;
*/vite.js)
    while [ ! -e "$TEST_FOLDER/go" ]; do sleep 0.05; done
    if [ -e "$TEST_FOLDER/broken" ]; then echo 'error: no such module'; exit 1; fi
    mkdir -p "$4" && echo '<!doctype html><title>The web client</title>' > "$4/index.html";;
esac
"""
NPM = "#!/bin/sh\nmkdir -p node_modules\n"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Run:
    """A run of ``notifyx up`` in ``folder``; its gateway is at ``url``."""

    folder: Path
    url: str

    def said(self) -> str:
        return (self.folder / "up.log").read_text()

    async def says(self, text: str) -> None:
        """Wait until the run has said ``text``."""

        async def said() -> bool:
            return text in self.said()

        await eventually(said, deadline=90)

    def end_build(self) -> None:
        (self.folder / "go").touch()

    @property
    def ready(self) -> bool:
        return (self.folder / "ready.json").exists()


@contextlib.asynccontextmanager
async def first_run() -> AsyncIterator[Run]:
    with tempfile.TemporaryDirectory(prefix="notifyx-first-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        package = Path(notifyx_local.__file__).parent
        source = folder / "services" / "local" / "src"
        shutil.copytree(package, source / "notifyx_local")
        web = folder / "services" / "web"
        web.mkdir()
        for file in ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "tsconfig.json"):
            (web / file).write_text(file)
        programs = folder / "bin"
        programs.mkdir()
        for program, text in (("node", NODE), ("npm", NPM)):
            (programs / program).write_text(text)
            (programs / program).chmod(0o755)
        ports = {f"--{option}": free_port() for option in ("port", "socket-port", "mailbox-port", "smtp-port")}
        environment = {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(source),
            "TEST_FOLDER": str(folder), "COLUMNS": "400",
        }  # fmt: skip
        with open(folder / "up.log", "wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "notifyx", "up", "--data", "data", "--json-ready", "ready.json",
                    *(str(part) for pair in ports.items() for part in pair),
                ],
                cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield Run(folder, f"http://127.0.0.1:{ports['--port']}")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(40) == 0, (folder / "up.log").read_text()


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200, url
        return await response.text()


async def test_it_is_ready_when_all_that_it_names_can_be_opened() -> None:
    async with first_run() as run:
        await run.says("waiting for the web client")
        assert "Building the web client ..." in run.said()
        assert "Notifyx is ready" not in run.said()
        assert not run.ready
        # The services answer meanwhile, and the page says what is going on.
        assert "The web client is being built." in await page(f"{run.url}/")
        run.end_build()
        await run.says("doctor")
        banner = run.said().partition("Notifyx is ready")[2]
        assert "your data stays in data\n" in banner, "as it was typed"
        named = re.findall(r"^  \w[\w, ]*? {2,}(https?://\S+)$", banner, re.MULTILINE)
        assert len(named) == 4, banner
        assert named[0] == f"{run.url}/"
        pages = [await page(url) for url in named]
        assert "<title>The web client</title>" in pages[0]
        assert "<title>The web client</title>" not in "".join(pages[1:])
        assert run.ready
        (socket,) = re.findall(r"ws://\S+", banner)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):  # it answers, and wants a token
                await session.ws_connect(f"{socket}/websocket?vsn=2.0.0")


async def test_a_build_that_fails_is_said_in_place_of_its_address() -> None:
    async with first_run() as run:
        (run.folder / "broken").touch()
        run.end_build()
        await run.says("doctor")
        banner = run.said().partition("Notifyx is ready")[2]
        assert f"Open            {run.url}/" not in banner
        reason = "The web client could not be built: vite build failed: error: no such module."
        assert f"Web client      {reason}" in banner
        assert f"Status          {run.url}/dashboard\n" in banner
        assert reason in await page(f"{run.url}/")
