"""The web client's own tools, run with the Node.js of the development environment: ``python -m support.web check``."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from notifyx_gateway.rest.api.openapi import build_openapi
from notifyx_gateway.rest.api.operations import OPERATIONS
from notifyx_local.web_build import WEB_SOURCE, BuildFailed, build_web
from support.node import node

INSTALL_SECONDS = 600
TOOL_SECONDS = 300
TYPES = WEB_SOURCE / "src" / "api" / "schema.d.ts"


class ToolFailed(Exception):
    """A tool found something, or could not run; the text is its output."""


def run(command: Sequence[str], seconds: float = TOOL_SECONDS) -> str:
    """Run one tool in the web client's folder; its output. Raises :class:`ToolFailed`."""
    done = subprocess.run(
        command,
        cwd=WEB_SOURCE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise ToolFailed(done.stdout)
    return done.stdout


def install() -> None:
    """Everything of the lock file, development tools included, unless it is there. Raises :class:`ToolFailed`."""
    (WEB_SOURCE / ".cache").mkdir(exist_ok=True)
    # The same lock as a build's: both change node_modules.
    with (WEB_SOURCE / ".cache" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = WEB_SOURCE / "node_modules" / ".notifyx-lock"
        wanted = f"{hashlib.sha256((WEB_SOURCE / 'package-lock.json').read_bytes()).hexdigest()} full"
        if not stamp.exists() or stamp.read_text() != wanted:
            run([*node("npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error"], INSTALL_SECONDS)
            stamp.write_text(wanted)


def tool(name: str, *arguments: str) -> str:
    """Run a package's program; its output. Raises :class:`ToolFailed`."""
    manifest = json.loads((WEB_SOURCE / "node_modules" / name / "package.json").read_text())
    programs = manifest["bin"]
    program = programs if isinstance(programs, str) else programs.get(name.rpartition("/")[2]) or programs["tsc"]
    return run([*node("node"), str(WEB_SOURCE / "node_modules" / name / program), *arguments])


def check() -> None:
    """Check lint, layers, import cycles, format and strict types. Raises :class:`ToolFailed`."""
    tool("@biomejs/biome", "ci", ".")
    tool("typescript", "--noEmit")


def build() -> None:
    """Build it from the sources as they are. Raises :class:`ToolFailed`."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(build_web(WEB_SOURCE, Path(folder) / "build.log", lambda line: None))
        except BuildFailed as error:
            raise ToolFailed(error.reason) from None


def format_code() -> None:
    """Format, and mend what the linter can. Raises :class:`ToolFailed`."""
    tool("@biomejs/biome", "check", "--write", ".")


def test() -> None:
    """The unit tests. Raises :class:`ToolFailed`."""
    tool("vitest", "run")


def types(*, check_only: bool = False) -> None:
    """Make the types of the API from its document, or check that they are of it. Raises :class:`ToolFailed`."""
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "openapi.json"
        document.write_text(json.dumps(build_openapi(OPERATIONS, "/")))
        options = ["--root-types", "--root-types-no-schema-prefix", "--default-non-nullable", "false"]
        tool("openapi-typescript", str(document), "-o", str(TYPES), *options, *(["--check"] if check_only else []))


def main() -> int:
    """Run what is asked for; 1 when it found something."""
    steps = {"build": build, "check": check, "format": format_code, "test": test, "types": types}
    try:
        install()
        steps[sys.argv[1]]()
    except ToolFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
