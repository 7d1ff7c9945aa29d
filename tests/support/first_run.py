"""The first ``notifyx up`` of a clone, whose web client is not built yet, with a build that ends when a test says so.

The package runs from a copy beside web sources of the test's own; in place of Node.js there is a program whose build
ends when the test says so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import notifyx_local
from notifyx_local.ports import free_port
from support.patience import PATIENCE
from support.platform import START_DEADLINE, eventually

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

        await eventually(said, deadline=START_DEADLINE)

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
            assert process.wait(PATIENCE) == 0, (folder / "up.log").read_text()
