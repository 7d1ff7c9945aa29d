"""The first ``notifyx up`` of a clone, whose web client is not built yet, with a build that ends when a test says so.

The package runs from a copy beside web sources of the test's own; in place of Node.js there is a program whose build
ends when the test says so.
"""

from __future__ import annotations

import contextlib
import importlib
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
from support.child import child
from support.forked import Forked, program
from support.patience import PATIENCE
from support.platform import START_DEADLINE, eventually
from support.run_folder import run_folder

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
async def first_run(*, forked: bool = False) -> AsyncIterator[Run]:
    """Run it. ``forked``: without the time for imports."""
    with tempfile.TemporaryDirectory(prefix="notifyx-first-", dir=run_folder()) as name:
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
        for file, text in (("node", NODE), ("npm", NPM)):
            (programs / file).write_text(text)
            (programs / file).chmod(0o755)
        ports = {f"--{option}": free_port() for option in ("port", "socket-port", "mailbox-port", "smtp-port")}
        environment = {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(source),
            "TEST_FOLDER": str(folder), "COLUMNS": "400",
        }  # fmt: skip
        command = ["up", "--data", "data", "--json-ready", "ready.json"]
        command += [str(part) for pair in ports.items() for part in pair]
        (folder / "up.log").touch()
        process: Forked | subprocess.Popen[bytes]
        if forked:
            process = program(__name__, environment, folder / "up.log", *command, output=True)
        else:
            with open(folder / "up.log", "wb") as log:
                words = [sys.executable, "-m", "notifyx", *command]
                process = child(words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield Run(folder, f"http://127.0.0.1:{ports['--port']}")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0, (folder / "up.log").read_text()


def main() -> None:
    """Run ``notifyx`` with the copy of the package, in a process that has imported another one."""
    os.chdir(os.environ["TEST_FOLDER"])
    sys.path.insert(0, os.environ["PYTHONPATH"])
    for module in [name for name in sys.modules if name.partition(".")[0] == notifyx_local.__name__]:
        del sys.modules[module]
    importlib.import_module("notifyx.__main__").main()
