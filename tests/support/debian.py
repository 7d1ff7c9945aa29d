"""Programs that tests need: the one on PATH, else Debian's package unpacked into the repository's cache folder."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache"


@dataclass(frozen=True)
class Program:
    """Where a program is. ``root`` is the folder that packages were unpacked in, if any were."""

    path: str
    root: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        """What it needs of an environment."""
        folders = _libraries(self.root) if self.root is not None else []
        return {"PATH": os.defpath, **({"LD_LIBRARY_PATH": ":".join(folders)} if folders else {})}


class NotFetched(Exception):
    """A package could not be fetched; the text says why."""


def program(name: str, *packages: str, path: str = "", dependencies: bool = False) -> Program:
    """The program on PATH, else the one at ``path`` in the first of ``packages``.

    ``path`` defaults to ``usr/bin`` and the name. With ``dependencies``, everything is unpacked that the packages
    depend on and this machine lacks. Skips the test where there is none, with the reason and the line that installs it.
    """
    found, reason = _find(name, packages, path or f"usr/bin/{name}", dependencies)
    if found is None:
        pytest.skip(
            f"no {name} on PATH, and {reason}; on Debian: apt-get update && apt-get install {' '.join(packages)}"
        )
    return found


@functools.cache
def _find(name: str, packages: tuple[str, ...], path: str, dependencies: bool) -> tuple[Program | None, str]:
    if (there := shutil.which(name)) is not None:
        return Program(there), ""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None, "this machine has no apt-get to fetch Debian's package with"
    folder = CACHE / packages[0]
    root = folder / "files"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test workers download once
            if not root.exists():
                _unpack(folder, packages, dependencies)
    except (OSError, NotFetched) as error:
        return None, f"Debian's package could not be fetched ({error})"
    if not (root / path).exists():
        return None, f"Debian's package holds no {path}"
    return Program(str(root / path), root), ""


def _unpack(folder: Path, packages: tuple[str, ...], dependencies: bool) -> None:
    """Fetch the packages into ``folder`` and unpack them as ``files``, which is there when it is complete."""
    for left in (*folder.glob("*.deb"), *folder.glob("partial/**/*.deb")):
        left.unlink()
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    wanted = _missing(folder, packages) if dependencies else list(packages)
    _run(folder, "apt-get", "download", "-qq", *wanted)
    for file in folder.glob("*.deb"):
        _run(folder, "dpkg", "-x", str(file), str(partial))
        file.unlink()
    partial.rename(folder / "files")


def _missing(folder: Path, packages: tuple[str, ...]) -> list[str]:
    """The names of the packages that installing ``packages`` would bring; an ordinary user may ask for them."""
    listed = _run(folder, "apt-get", "install", "-qq", "--print-uris", "--no-install-recommends", *packages)
    return re.findall(r"^'\S+' ([^_\s]+)_", listed, re.MULTILINE)


def _run(folder: Path, *command: str) -> str:
    """Run the command to its end; what it printed. Raises :class:`NotFetched` with its last error."""
    try:
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise NotFetched(f"{command[0]} took too long") from None
    if done.returncode != 0:
        errors = [line.removeprefix("E: ") for line in done.stderr.splitlines() if line.startswith("E: ")]
        raise NotFetched((errors or [f"{command[0]} ended with {done.returncode}"])[0].rstrip("."))
    return done.stdout


def _libraries(root: Path) -> list[str]:
    """The folders below ``root`` with libraries for every program, those in folders of one package included."""
    places = [*root.glob("usr/lib/*-linux-*"), *root.glob("lib/*-linux-*")]
    inside = [folder for place in places for folder in sorted(place.iterdir()) if folder.is_dir()]
    return [str(folder) for folder in [*places, *inside] if any(folder.glob("*.so*"))]
