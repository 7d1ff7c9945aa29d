"""Programs that tests need: the one on PATH, else Debian's package unpacked into the repository's cache folder."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache"


@dataclass(frozen=True)
class Program:
    """Where a program is, and the libraries that were unpacked with it, if any were."""

    path: str
    libraries: str = ""

    @property
    def env(self) -> dict[str, str]:
        """All that it needs of an environment."""
        return {"PATH": os.defpath, **({"LD_LIBRARY_PATH": self.libraries} if self.libraries else {})}


def program(name: str, *packages: str) -> Program:
    """The program, from the first of ``packages`` where need be; skips the test with the reason where there is none."""
    found, reason = _find(name, packages)
    if found is None:
        pytest.skip(f"no {name}: {reason}")
    return found


@functools.cache
def _find(name: str, packages: tuple[str, ...]) -> tuple[Program | None, str]:
    if (path := shutil.which(name)) is not None:
        return Program(path), ""
    folder = CACHE / packages[0]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test workers download once
        binary = folder / "usr/bin" / name
        if not binary.exists():
            if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
                return None, "not on PATH, and this machine has no apt-get to fetch Debian's package with"
            # The package itself last: its program is there when all of it is.
            unpack = [["sh", "-c", f"dpkg -x {package}_*.deb ."] for package in reversed(packages)]
            try:
                for command in (["apt-get", "download", *packages], *unpack):
                    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
            except (OSError, subprocess.SubprocessError) as error:
                return None, f"not on PATH, and Debian's package could not be fetched ({type(error).__name__})"
    libraries = next(folder.glob("usr/lib/*/*.so*"), None)
    return Program(str(binary), str(libraries.parent) if libraries is not None else ""), ""
