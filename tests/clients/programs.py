"""The programs of other makers that tests run, each built once a machine from what its registry holds.

What is built is kept in the cache folder, under a name made of what it was made from. Where a tool is missing or a
registry does not answer, the test is skipped with the reason; with ``CLIENTS_REQUIRED`` set, it fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cluster.commands import run
from cluster.waiting import CommandFailed
from support.go import MODULE_ENV, NoGo, go_toolchain
from support.helm import cache_folder
from support.node import node

SOURCES = Path(__file__).parent
BUILD_DEADLINE = 1200.0


def not_here(reason: str) -> NoReturn:
    """End a test of a program that is not here: as failed where ``CLIENTS_REQUIRED`` says that each has to be."""
    if os.environ.get("CLIENTS_REQUIRED"):
        pytest.fail(reason)
    pytest.skip(reason)


def installed(package: str) -> Any:
    """Return the Python package of another maker."""
    try:
        return import_module(package)
    except ModuleNotFoundError:
        not_here(f"make test-clients installs {package}")


def alertmanager() -> Path:
    """Alertmanager, of the version in ``alertmanager/go.mod``, without its web interface."""
    return _kept("alertmanager", _build_alertmanager) / "program"


def cloudevents_go() -> Path:
    """The program that sends with the Go SDK of CloudEvents."""

    def build(folder: Path) -> None:
        _go("build", "-trimpath", "-o", str(folder / "program"), ".", cwd=SOURCES / "cloudevents-go")

    return _kept("cloudevents-go", build) / "program"


def rust_journey() -> Path:
    """The program of the Rust client."""

    def build(folder: Path) -> None:
        _tool("cargo", "cargo")
        run(
            ["cargo", "build", "--quiet", "--locked", "--target-dir", folder / "target"],
            cwd=SOURCES / "rust",
            deadline=BUILD_DEADLINE,
        )
        (folder / "target" / "debug" / "notifyx-rust-client").rename(folder / "program")
        shutil.rmtree(folder / "target")

    return _kept("rust", build) / "program"


def java_journey() -> Path:
    """A folder with the Java client's program, for :func:`java_command`."""

    def build(folder: Path) -> None:
        _tool("mvn", "maven default-jdk-headless")
        shutil.copytree(SOURCES / "java", folder, dirs_exist_ok=True)
        run(["mvn", "-q", "-B", "package"], cwd=folder, deadline=BUILD_DEADLINE)

    return _kept("java", build)


def java_command(folder: Path) -> list[str]:
    """The command line of the Java client's program."""
    return [_tool("java", "default-jdk-headless"), "-cp", f"{folder}/target/classes:{folder}/target/lib/*", "Journey"]


def node_packages(name: str = "node") -> Path:
    """A folder with what the npm packages of folder ``name`` install; by default the JavaScript clients."""

    def build(folder: Path) -> None:
        shutil.copytree(SOURCES / name, folder, dirs_exist_ok=True)
        run([*node("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, deadline=BUILD_DEADLINE)

    return _kept(name, build)


def _build_alertmanager(folder: Path) -> None:
    module = SOURCES / "alertmanager"
    found = json.loads(_go("mod", "download", "-json", "github.com/prometheus/alertmanager", cwd=module))
    source = folder / "source"
    shutil.copytree(found["Dir"], source)
    run(["chmod", "-R", "u+w", source])
    # The module comes without the built web interface, which the program embeds.
    for name in ("elm", "mantine"):
        page = source / "ui" / "app" / "dist" / name / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("There is no web interface in tests.\n")
    _go("build", "-trimpath", "-ldflags", "-s -w", "-o", str(folder / "program"), "./cmd/alertmanager", cwd=source)
    shutil.rmtree(source)


def _go(*arguments: str, cwd: Path) -> str:
    try:
        toolchain = go_toolchain(print)
    except NoGo as error:
        not_here(str(error))
    return run([toolchain, *arguments], cwd=cwd, env=MODULE_ENV, deadline=BUILD_DEADLINE)


def _tool(name: str, packages: str) -> str:
    found = shutil.which(name)
    if found is None:
        not_here(f"no {name} on PATH; on Debian: apt-get install {packages}")
    return found


def _kept(name: str, build: Callable[[Path], None]) -> Path:
    """The folder of what ``build`` makes of the sources in folder ``name``; it is built where it is not kept."""
    sources = SOURCES / name
    files = sorted(path for path in sources.rglob("*") if path.is_file() and not _made(path.relative_to(sources)))
    inputs = b"".join(path.read_bytes() for path in files)
    folder = cache_folder() / "clients" / f"{name}-{hashlib.sha256(inputs).hexdigest()[:12]}"
    if folder.exists():
        return folder
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        build(partial)
        partial.rename(folder)
    except CommandFailed as error:
        not_here(f"{name} could not be built from its registry: {error}")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _made(path: Path) -> bool:
    return path.parts[0] in ("target", "node_modules")


def run_program(command: list[str | Path], environment: Mapping[str, str], cwd: Path | None = None) -> str:
    """What a client's program prints. Raises :class:`CommandFailed` with what it said when it fails."""
    return run(command, env=environment, cwd=cwd, deadline=300)
